"""The plan of a run."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.monkey import FaultProfile


@dataclass(frozen=True)
class Plan:
    """Size, seed and faults of a run."""

    jobs: int
    seed: int
    seconds: float
    out: Path
    instances: int = 2
    rest_seconds: float = 240.0
    """Part of the time that is reserved for coming to rest and for the checker."""
    broken: str | None = None
    outages: float | None = None
    """Seconds of the outage of each server; other faults are not injected then."""
    profile: FaultProfile = field(default_factory=FaultProfile)
