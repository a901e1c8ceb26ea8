"""Chains: sheet, training and pictures of a character that follow one request."""

from typing import ClassVar, Literal
from uuid import UUID, uuid5

from contracts.base import (
    AssetId,
    CharacterId,
    Flag,
    GenerationType,
    Id,
    Line,
    Message,
    Model,
    Moment,
    Name,
    UserId,
    format_id_part,
)
from contracts.characters import Character, Lora
from contracts.generation import GenerationRequested, Notify
from contracts.jobs import JobError
from contracts.requests import CharacterSheetRequest, FollowUp, FollowUps, GenerationRequest, TrainingFollowUp
from contracts.strictness import CallerMessage

CHAINS = UUID("b1f0c0de-5e1e-4c7e-8d0c-c4a1d0000001")
"""Namespace (UUID 5) for the ids of chains that a selected base image starts."""


class BaseImageSelected(CallerMessage):
    """The base image of a character was selected. Produced by upstream services, api; consumed by
    characters.
    """

    topic: ClassVar[str] = "character.base-image-selected.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "selected_at")
    sent_at: ClassVar[str | None] = "selected_at"

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    base_image_id: AssetId
    job_accepted: Flag = False
    """True if the api has accepted the job of the image: the selection then waits for it as long as a job may
    take. Otherwise it waits a minute for a job that is not known."""
    include_nsfw: Flag = False
    """True if the user's settings allow explicit wording on the sheet."""
    character: Character | None = None
    """The description of the character. Left out: the description in the job of the base image."""
    then: FollowUps = ()
    """The steps after the sheet. Left out: the training of the LoRA."""
    notify: Notify = Notify()
    """Receiver of the events of all jobs of the chain."""
    selected_at: Moment | None = None
    """By default the record's time. The newest choice is the character's face."""

    @property
    def chain_id(self) -> str:
        """Id of the chain that the selection starts, and of its first job, the sheet."""
        return str(uuid5(CHAINS, f"{self.tenant}/{self.character_id}/{format_id_part(self.selected_at)}"))

    @property
    def sheet(self) -> GenerationRequested:
        """The request that the selection is equivalent to: a sheet with its follow-ups."""
        return GenerationRequested(
            job_id=self.chain_id,
            tenant=self.tenant,
            user_id=self.user_id,
            request=CharacterSheetRequest(
                character_id=self.character_id,
                base_image_id=self.base_image_id,
                include_nsfw=self.include_nsfw,
            ),
            requested_at=self.selected_at,
            notify=self.notify,
            then=self.then or (TrainingFollowUp(),),
            chain_id=self.chain_id,
        )


class SelectionDue(Message):
    """Check whether the image of a selection is ready (command). Produced by characters; consumed by
    characters.
    """

    topic: ClassVar[str] = "character.selection-due.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "due_at")

    character_id: CharacterId
    tenant: Name
    chain_id: Id
    """Id of the chain that the selection starts."""
    selection: BaseImageSelected
    since: Moment
    """Start of the wait."""
    due_at: Moment


class LoraReady(Message):
    """A LoRA is ready for use. Produced by characters; consumed by dispatcher, upstream services.

    Published once for each training that succeeds. `lora` is the character's newest LoRA, which may come
    from a later training. If another face was selected meanwhile and has no LoRA yet, `lora.failed` is
    published instead.
    """

    topic: ClassVar[str] = "lora.ready.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "job_id")

    character_id: CharacterId
    job_id: Id
    tenant: Name
    lora: Lora
    chain_id: Id | None = None
    at: Moment


class LoraFailed(Message):
    """A LoRA will not become available. Produced by characters; consumed by dispatcher, upstream services."""

    topic: ClassVar[str] = "lora.failed.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "job_id")

    character_id: CharacterId
    job_id: Id
    tenant: Name
    reason: str
    chain_id: Id | None = None
    at: Moment


class ChainCancel(CallerMessage):
    """Cancel a chain (command). Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.cancel.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")
    sent_at: ClassVar[str | None] = "requested_at"

    chain_id: Id
    tenant: Name
    requested_at: Moment | None = None
    """By default the record's time. Of several commands the newest holds."""
    reason: Line = "cancelled by the caller"


class ChainResume(CallerMessage):
    """Resume a failed chain (command). Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.resume.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")
    sent_at: ClassVar[str | None] = "requested_at"

    chain_id: Id
    tenant: Name
    requested_at: Moment | None = None
    """By default the record's time. Of several commands the newest holds."""


ChainState = Literal["running", "completed", "failed", "cancelled"]
StepState = Literal["waiting", "running", "completed", "failed", "cancelled"]


class ChainImage(Model):
    """A stored image of a step."""

    index: int
    """Position of the image in its job."""
    asset: AssetId
    label: Line = ""
    caption: str = ""


class ChainTry(Model):
    """One job that was run for a step."""

    job_id: Id
    poses: tuple[int, ...] = ()
    """Requested poses of a sheet, in the order of its images. Empty: all poses."""
    resumed_at: Moment | None = None
    """Time of the newest resume command when the job was requested. Each command adds at most one job."""
    state: Literal["running", "completed", "failed", "cancelled"] = "running"
    images: tuple[ChainImage, ...] = ()
    error: JobError | None = None
    ended_at: Moment | None = None


class ChainStep(Model):
    """One step of a chain."""

    type: GenerationType
    follow_up: FollowUp | None = None
    """The requested follow-up. Null in the first step, which is the request of the chain itself."""
    state: StepState = "waiting"
    tries: tuple[ChainTry, ...] = ()
    images: tuple[AssetId, ...] = ()
    """Images of all tries. Those of a sheet are in the order of its poses."""
    error: JobError | None = None


class Chain(Model):
    """The `chains` document (`_id` is the chain id). Written by characters only; others may read.

    `request` is null until the chain's first request arrives. Events of its jobs and commands may
    arrive before it.
    """

    chain_id: Id
    tenant: Name
    user_id: UserId | None = None
    character_id: CharacterId | None = None
    request: GenerationRequest | None = None
    notify: Notify = Notify()
    state: ChainState = "running"
    steps: tuple[ChainStep, ...] = ()
    early: tuple[ChainTry, ...] = ()
    """Jobs whose events arrived before the request."""
    cancelled_at: Moment | None = None
    cancel_reason: Line = ""
    resumed_at: Moment | None = None
    """Time of the newest resume command. The newer of `cancelled_at` and `resumed_at` takes effect."""
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None = None
    version: int = 0

    @property
    def is_cancelled(self) -> bool:
        """True if no further step is to be started."""
        if self.cancelled_at is None:
            return False
        return self.resumed_at is None or self.cancelled_at > self.resumed_at
