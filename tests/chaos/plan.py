"""What a run is to do."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.monkey import Temper


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    jobs: int
    seed: int
    seconds: float
    out: Path
    instances: int = 2
    rest_seconds: float = 240.0
    """Of its time so much is kept for coming to rest and for the checker."""
    broken: str | None = None
    outages: float | None = None
    """Seconds for which each server is away; then nothing else is broken."""
    temper: Temper = field(default_factory=Temper)
