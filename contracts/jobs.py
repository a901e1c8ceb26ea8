"""State of a job: the `jobs` document and the `job.events` that are derived from it."""

from typing import Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from contracts.base import (
    AssetId,
    CharacterId,
    GenerationType,
    Id,
    Line,
    Message,
    Model,
    Moment,
    Name,
    Provider,
    UserId,
)
from contracts.characters import Character
from contracts.generation import Notify, Reason, RenderSpec
from contracts.notices import Notice
from contracts.renders import StoredImage, StoredLora

Status = Literal["pending", "running", "completed", "failed"]
Phase = Literal["queued", "waiting_for_character", "waiting_for_lora", "rendering", "storing"]
ENDED: Final[tuple[Status, ...]] = ("completed", "failed")
"""Statuses, and kinds of events, after which nothing about a job changes."""
EventKind = Literal["accepted", "started", "image_ready", "image_failed", "progressed", "completed", "failed"]
RenderState = Literal["waiting", "queued", "running", "storing", "done", "failed"]
RENDER_ENDED: Final[tuple[RenderState, ...]] = ("done", "failed")
"""States after which nothing about a render changes."""
ErrorCode = Literal[
    "rejected",
    "cancelled",
    "deadline_exceeded",
    "input_not_found",
    "job_id_conflict",
    "lora_failed",
    "provider_failed",
    "no_provider",
    "too_few_images",
    "not_storable",
]


class JobError(Model):
    """Error of a failed job or image."""

    code: ErrorCode | str
    message: str
    reasons: tuple[Reason, ...] = ()


class ImageEvent(Model):
    """One image of a job: its stored result or its error. The result of a training is a LoRA."""

    index: int
    label: str = ""
    caption: str = ""
    """Training caption. Empty for images that are not made for training."""
    stored: StoredImage | None = None
    lora: StoredLora | None = None
    error: JobError | None = None


class RenderProgress(Model):
    """Progress of one image. `percent` is 0 to 100."""

    index: int
    state: RenderState
    percent: int | None = None
    queue_position: int | None = None


class Cost(Model):
    """The price of a job's attempts so far, in US dollars. The same in documents, events and HTTP answers."""

    attempts: int = 0
    """Number of attempts that have ended."""
    usd: float = 0.0
    """Sum over all billed attempts: the reported price, else the one of the price list."""
    estimated: bool = False
    """True if a part of `usd` comes from the price list, or if `unknown` is not zero."""
    unknown: int = 0
    """Number of ended attempts for which it is unknown if they were billed. They are not part of `usd`."""


class JobEvent(Message):
    """Progress of a job.

    Produced by dispatcher; consumed by notifier, characters, analytics, upstream services.

    `accepted`, `started`, `image_ready`, `image_failed`, `completed` and `failed` are numbered by
    `seq` from 1 without gaps. `progressed` is a snapshot and carries the last number.

    A job whose character is not stored yet has two `accepted` events. The first has phase
    `waiting_for_character`, and `requested` 0 if only the plan determines the number of images. The second
    follows the plan.
    """

    topic: ClassVar[str] = "job.events.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "seq", "event", "at")

    event: EventKind
    job_id: Id
    tenant: Name
    user_id: UserId
    type: GenerationType
    seq: int
    at: Moment
    status: Status
    phase: Phase | None
    requested: int
    delivered: int
    failed: int
    image: ImageEvent | None = None
    progress: tuple[RenderProgress, ...] = ()
    error: JobError | None = None
    notices: tuple[Notice, ...] = ()
    """New notices in `accepted` and `image_ready`; all notices in the terminal event."""
    cost: Cost | None = None
    """Price of all attempts. Only in the terminal event."""
    target_seconds: float
    elapsed_seconds: float
    """Seconds from the request to this event."""
    waited_seconds: float = 0.0
    """Part of `elapsed_seconds` that the job spent waiting for its character to be stored and for its LoRA.
    Target and deadline count from the end of the wait."""
    webhook: bool = False
    """True if the request has a webhook. Its address is in the job's document."""
    chain_id: Id | None = None
    character_id: CharacterId | None = None

    @property
    def terminal(self) -> bool:
        """True if this is the job's last numbered event."""
        return self.event in ENDED


class Attempt(Model):
    """One submission of a render."""

    n: int
    provider: Provider
    requested_at: Moment
    outcome: Literal["open", "succeeded", "failed", "cancelled"] = "open"
    error: JobError | None = None
    retryable: bool = False
    """True if the same request may succeed at the same provider. Taken from the failure."""
    billed: Literal["yes", "no", "unknown"] | None = None
    cost_usd: float | None = None
    """Price that the provider reported. Null if it reported none."""


class Render(Model):
    """One image of a job. In state `waiting` no attempt is open; the next one starts at `retry_at`."""

    spec: RenderSpec
    state: RenderState = "waiting"
    percent: int | None = None
    queue_position: int | None = None
    retry_at: Moment | None = None
    attempts: tuple[Attempt, ...] = ()
    stored: StoredImage | None = None
    lora: StoredLora | None = None
    """Result of a training."""
    error: JobError | None = None

    @property
    def terminal(self) -> bool:
        """True if the render is done or has failed for good."""
        return self.state in RENDER_ENDED


class Job(Model):
    """The `jobs` document (`_id` is the job id). Only dispatcher writes it; others may read it."""

    job_id: Id
    tenant: Name
    user_id: UserId
    type: GenerationType
    request_hash: str
    requested_at: Moment
    accepted_at: Moment
    updated_at: Moment
    started_at: Moment | None = None
    finished_at: Moment | None = None
    deadline_at: Moment
    target_seconds: float
    elapsed_seconds: float | None = None
    waited_seconds: float = 0.0
    """Seconds that the job waited for its character to be stored and for its LoRA."""
    status: Status = "pending"
    phase: Phase | None = "queued"
    requested: int
    delivered: int = 0
    failed: int = 0
    partial: bool = False
    """True if the job draws single poses of a character sheet again."""
    minimum: int = 1
    """Minimum number of images with which the job counts as completed."""
    error: JobError | None = None
    notices: tuple[Notice, ...] = ()
    cost: Cost = Cost()
    """Updated whenever an attempt ends."""
    provider: Provider | None = None
    model: str | None = None
    workflow: dict[str, Any] | None = None
    notify: Notify = Notify()
    chain_id: Id | None = None
    character_id: CharacterId | None = None
    character: Character | None = None
    """The character at the time of planning."""
    renders: tuple[Render, ...] = ()
    events: tuple[JobEvent, ...] = ()
    """All numbered events. Readers of the stream fill gaps from here."""
    seq: int = 0
    version: int = 0
    wake_at: Moment | None = None
    """Time of the next check by the dispatcher: a retry or the deadline."""
    trace: str | None = None
    """W3C traceparent of the request."""
    placeholder: bool = False
    """True while a cancel holds the job's place and its plan has not arrived. `user_id`, `type` and the times
    then do not describe the request."""

    @field_validator("cost", mode="before")
    @classmethod
    def _none_yet(cls, cost: Any) -> Any:
        """Accept older documents, in which the cost is null until the first attempt ends."""
        return {} if cost is None else cost

    @property
    def terminal(self) -> bool:
        """True if the job has ended. A placeholder has ended too: its plan cannot revive it."""
        return self.status in ENDED


class JobDue(Message):
    """Check a job again (command). Produced by dispatcher's timers, consumed by dispatcher."""

    topic: ClassVar[str] = "job.due.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "due_at")

    job_id: Id
    due_at: Moment
    character_id: CharacterId | None = None
    """Character that the job waits for, or whose LoRA it waits for."""
    tenant: Name | None = None
    """Tenant of that character. Null in messages of earlier versions."""


class CharacterSheetCompleted(Message):
    """A character sheet was completed. Produced by dispatcher; consumed by characters, upstream services."""

    topic: ClassVar[str] = "character-sheet.completed.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("job_id",)

    character_id: CharacterId
    job_id: Id
    tenant: Name
    user_id: UserId
    images: tuple[AssetId, ...] = Field(min_length=1)
    labels: tuple[Line, ...] = ()
    captions: tuple[str, ...] = ()
    """Training captions, one per image. `{trigger}` stands for the trigger word."""
    partial: bool = False
    """True if these are redrawn poses, which are merged into the existing sheet."""
    chain_id: Id | None = None
    at: Moment
