"""The `jobs` document as the dispatcher keeps it, and typed copies of it. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from contracts.base import Model, Moment, Provider
from contracts.characters import Character
from contracts.generation import GenerationCancel, GenerationRequested, Reason
from contracts.jobs import Cost, Job, JobError, JobEvent, Phase, Render, Status
from contracts.notices import Notice
from shared.fold import Folded, Handled


class CharacterWait(Model):
    """A job's wait for a character that is not stored yet."""

    requested: GenerationRequested
    """Published again when the character is stored."""
    reasons: tuple[Reason, ...]
    """Reasons of the rejection if the character is not stored in time."""
    since: Moment
    found_at: Moment | None = None
    """Time of the first check that found the character."""


class JobRecord(Job, Folded):
    """The `jobs` document with the fields that only the dispatcher reads."""

    early_cancels: tuple[GenerationCancel, ...] = ()
    """Cancels of further tenants from before the plan: only the plan tells whose job it is."""
    wait: CharacterWait | None = None
    """Set in phase `waiting_for_character`."""


class JobChanges(TypedDict, total=False):
    """Fields of a job that change."""

    requested: int
    renders: tuple[Render, ...]
    provider: Provider | None
    model: str | None
    workflow: dict[str, Any] | None
    character: Character | None
    partial: bool
    notices: tuple[Notice, ...]
    status: Status
    phase: Phase | None
    error: JobError | None
    accepted_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime
    wake_at: datetime | None
    elapsed_seconds: float | None
    waited_seconds: float
    minimum: int
    delivered: int
    failed: int
    cost: Cost
    events: tuple[JobEvent, ...]
    seq: int
    trace: str | None
    handled: tuple[Handled, ...]
    early_cancels: tuple[GenerationCancel, ...]
    wait: CharacterWait | None


def with_job(job: JobRecord, **changes: Unpack[JobChanges]) -> JobRecord:
    """Return a job with other values."""
    return job.model_copy(update={**changes})


def events_only(handled: Sequence[Handled]) -> tuple[Handled, ...]:
    """Drop the commands from remembered outputs: they are void once the job has ended, its events are not."""
    return tuple(each.without_outputs("render.") for each in handled)
