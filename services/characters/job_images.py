"""The images of jobs, as the `jobs` documents show them: their owner, their character, their state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.base import Name
from contracts.characters import Character


@dataclass(frozen=True, slots=True)
class JobImages:
    """A job's images."""

    tenant: Name
    character: Character | None
    ready: frozenset[int]
    """Indexes of the stored images."""
    planned: int | None = None
    """Number of images; None until the job is planned."""
    ended: bool = False


ImagesByJob = Mapping[str, JobImages]
"""By job id, without the jobs that do not exist."""


class JobReader(Protocol):
    """Reads the dispatcher's documents."""

    async def images(self, job_ids: Iterable[str]) -> ImagesByJob:
        """Return the images of the jobs that exist; one round trip."""
