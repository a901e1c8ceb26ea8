"""The life of a job as others may see it: `job.events`, and the `jobs` document they come from."""

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
    """Why a job, or an image of it, failed."""

    code: ErrorCode | str
    message: str
    reasons: tuple[Reason, ...] = ()


class ImageEvent(Model):
    """One image of a job: its stored result, or why there is none. A training's result is its LoRA."""

    index: int
    label: str = ""
    caption: str = ""
    """What a trainer is to be told about it; empty where it is not made for training."""
    stored: StoredImage | None = None
    lora: StoredLora | None = None
    error: JobError | None = None


class RenderProgress(Model):
    """How far one image is. `percent` counts 0 to 100."""

    index: int
    state: RenderState
    percent: int | None = None
    queue_position: int | None = None


class Cost(Model):
    """The price of a job's attempts so far, in US dollars. The same in documents, events and HTTP answers."""

    attempts: int = 0
    """Number of attempts that have ended."""
    usd: float = 0.0
    """Sum over all billed attempts: as the provider reported it, else from our price list."""
    estimated: bool = False
    """True when a part of `usd` comes from the price list, or when `unknown` is not zero."""
    unknown: int = 0
    """Number of ended attempts without a known answer to whether they were billed. They are not in `usd`."""


class JobEvent(Message):
    """What happened to a job.

    Produced by dispatcher; consumed by notifier, characters, analytics, upstream services.

    `accepted`, `started`, `image_ready`, `image_failed`, `completed` and `failed` are numbered by
    `seq` from 1 without gaps. `progressed` is a snapshot and carries the last number.

    A job whose character is not stored yet is `accepted` twice: at once in phase
    `waiting_for_character`, with `requested` 0 where only its plan tells the number of images, and
    again when it is planned.
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
    """In `accepted` and `image_ready`: what is new. In the terminal event: all."""
    cost: Cost | None = None
    """In the terminal event: the price of all attempts."""
    target_seconds: float
    elapsed_seconds: float
    """From the request to this event."""
    waited_seconds: float = 0.0
    """Part of `elapsed_seconds` before the job's character was stored and its LoRA ready, if it waited for
    them. Target and deadline count from then."""
    webhook: bool = False
    """Whether the request named a webhook; its address is in the job's document."""
    chain_id: Id | None = None
    character_id: CharacterId | None = None

    @property
    def terminal(self) -> bool:
        """True if this is the job's last numbered event."""
        return self.event in ENDED


class Attempt(Model):
    """One submission of a render, as the dispatcher knows it."""

    n: int
    provider: Provider
    requested_at: Moment
    outcome: Literal["open", "succeeded", "failed", "cancelled"] = "open"
    error: JobError | None = None
    retryable: bool = False
    """Whether the same request may succeed at the same provider; told by the failure."""
    billed: Literal["yes", "no", "unknown"] | None = None
    cost_usd: float | None = None
    """As the provider says; null where it says nothing."""


class Render(Model):
    """One image of a job. `waiting`: no attempt is open; the next one starts at `retry_at`."""

    spec: RenderSpec
    state: RenderState = "waiting"
    percent: int | None = None
    queue_position: int | None = None
    retry_at: Moment | None = None
    attempts: tuple[Attempt, ...] = ()
    stored: StoredImage | None = None
    lora: StoredLora | None = None
    """What a training gave."""
    error: JobError | None = None

    @property
    def terminal(self) -> bool:
        """True if the render is done or has failed for good."""
        return self.state in RENDER_ENDED


class Job(Model):
    """The `jobs` document (`_id` is the job id). Written by dispatcher only; others may read."""

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
    """Seconds from the request until its character was stored and its LoRA ready, if it waited for them."""
    status: Status = "pending"
    phase: Phase | None = "queued"
    requested: int
    delivered: int = 0
    failed: int = 0
    partial: bool = False
    """Whether it draws single poses of a character sheet again."""
    minimum: int = 1
    """The least number of images that counts as completed."""
    error: JobError | None = None
    notices: tuple[Notice, ...] = ()
    cost: Cost = Cost()
    """Kept up to date whenever an attempt ends."""
    provider: Provider | None = None
    model: str | None = None
    workflow: dict[str, Any] | None = None
    notify: Notify = Notify()
    chain_id: Id | None = None
    character_id: CharacterId | None = None
    character: Character | None = None
    """The character as it was when the job was planned."""
    renders: tuple[Render, ...] = ()
    events: tuple[JobEvent, ...] = ()
    """All numbered events; the place where a gap in the stream is repaired from."""
    seq: int = 0
    version: int = 0
    wake_at: Moment | None = None
    """When the dispatcher must look again: a retry or the deadline."""
    trace: str | None = None
    """W3C traceparent of the request."""
    placeholder: bool = False
    """True while a cancel holds the job's place and its plan has not arrived. `user_id`, `type` and the times
    then do not describe the request."""

    @field_validator("cost", mode="before")
    @classmethod
    def _none_yet(cls, cost: Any) -> Any:
        """Read older documents, which have null until the first attempt ends."""
        return {} if cost is None else cost

    @property
    def terminal(self) -> bool:
        """True if the job has ended. A placeholder has ended too: its plan cannot revive it."""
        return self.status in ENDED


class JobDue(Message):
    """Look at this job again. Produced by dispatcher's timers, consumed by dispatcher."""

    topic: ClassVar[str] = "job.due.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "due_at")

    job_id: Id
    due_at: Moment
    character_id: CharacterId | None = None
    """The character that the job waits for, or whose LoRA."""
    tenant: Name | None = None
    """The owner of that character; earlier calls did not name it."""


class CharacterSheetCompleted(Message):
    """A sheet is ready to train on. Produced by dispatcher; consumed by characters, upstream services."""

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
    """For a trainer, one per image; `{trigger}` stands for the trigger word."""
    partial: bool = False
    """Whether these are single poses that were drawn again: they join the sheet that there is."""
    chain_id: Id | None = None
    at: Moment
