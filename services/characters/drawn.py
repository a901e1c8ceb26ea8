"""What the `jobs` documents tell of images: whose they are, and who is on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.base import Name
from contracts.characters import Character


@dataclass(frozen=True, slots=True)
class Drawn:
    """A job as far as its images are known by it."""

    tenant: Name
    character: Character | None
    ready: frozenset[int]
    """The images that are stored, by their place in the job."""


DrawnJobs = Mapping[str, Drawn]
"""By job id; a job that is not in it does not exist."""


class Jobs(Protocol):
    """The dispatcher's documents."""

    async def drawn(self, job_ids: Iterable[str]) -> DrawnJobs:
        """Those that exist; one round trip."""
