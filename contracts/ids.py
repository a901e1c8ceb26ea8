"""Value types for ids that are composed of other ids."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class RenderKey:
    """One render of a job. `str()` gives `{job_id}/{index}`, the id of the render and of its asset."""

    job_id: str
    index: int
    """Position in the job, from 0."""

    def __str__(self) -> str:
        return f"{self.job_id}/{self.index}"

    @classmethod
    def parse(cls, render_id: str) -> Self:
        """Read the id of a render or an asset.

        Raises:
            ValueError: if the text is not `{job_id}/{index}`.
        """
        job_id, index = render_id.split("/")
        return cls(job_id, int(index))


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """One submission of a render. `str()` gives the attempt's id, `{job_id}/{index}/{number}`."""

    job_id: str
    index: int
    """Position of the render in its job, from 0."""
    number: int
    """Position among the render's attempts, from 1."""

    def __str__(self) -> str:
        return f"{self.job_id}/{self.index}/{self.number}"

    @property
    def render(self) -> RenderKey:
        """The render that the attempt belongs to."""
        return RenderKey(self.job_id, self.index)

    @classmethod
    def parse(cls, attempt_id: str) -> Self:
        """Read the id of an attempt.

        Raises:
            ValueError: if the text is not `{job_id}/{index}/{number}`.
        """
        job_id, index, number = attempt_id.split("/")
        return cls(job_id, int(index), int(number))
