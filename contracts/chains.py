"""A character's way from base image to LoRA and on to its pictures."""

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
    written,
)
from contracts.characters import Character, Lora
from contracts.generation import GenerationRequested, Notify
from contracts.jobs import JobError
from contracts.requests import CharacterSheetRequest, FollowUp, FollowUps, GenerationRequest, TrainingFollowUp
from contracts.strictness import CallerMessage

CHAINS = UUID("b1f0c0de-5e1e-4c7e-8d0c-c4a1d0000001")
"""The namespace of the ids of chains that begin with the choice of a face."""


class BaseImageSelected(CallerMessage):
    """The user chose a face. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "character.base-image-selected.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "selected_at")

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    base_image_id: AssetId
    include_nsfw: Flag = False
    """Whether the user's settings allow explicit wording on the sheet. Never assumed."""
    character: Character | None = None
    """As the wizard describes it; left out: as the job of the base image described it."""
    then: FollowUps = ()
    """What is to follow the sheet; left out: the training of the LoRA."""
    notify: Notify = Notify()
    """Whom to tell of every job of the chain."""
    selected_at: Moment

    @property
    def chain_id(self) -> str:
        """The chain that begins with it; also the id of its first job, the sheet."""
        return str(uuid5(CHAINS, f"{self.tenant}/{self.character_id}/{written(self.selected_at)}"))

    @property
    def sheet(self) -> GenerationRequested:
        """The request that a selection stands for: a sheet, and what is to follow it."""
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


class LoraReady(Message):
    """A LoRA can be used. Produced by characters; consumed by dispatcher, upstream services.

    Each training that ends well is answered by one; `lora` is the character's newest, which a later
    training may have made. Where another face was chosen meanwhile, and has none yet, by `lora.failed`.
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
    """A LoRA will not come. Produced by characters; consumed by dispatcher, upstream services."""

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
    """Stop a whole chain. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.cancel.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")

    chain_id: Id
    tenant: Name
    requested_at: Moment
    reason: Line = "cancelled by the caller"


class ChainResume(CallerMessage):
    """Go on at the step that failed. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.resume.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")

    chain_id: Id
    tenant: Name
    requested_at: Moment


ChainState = Literal["running", "completed", "failed", "cancelled"]
StepState = Literal["waiting", "running", "completed", "failed", "cancelled"]


class ChainImage(Model):
    """An image of a step, ready in the bucket."""

    index: int
    """Its place in its job."""
    asset: AssetId
    label: Line = ""
    caption: str = ""


class ChainTry(Model):
    """A job by which a step was tried."""

    job_id: Id
    poses: tuple[int, ...] = ()
    """The poses that a sheet was asked for, in their order, which is that of its images; empty: all."""
    resumed_at: Moment | None = None
    """The newest resumption when it was asked for: each brings a step at most one more try."""
    state: Literal["running", "completed", "failed", "cancelled"] = "running"
    images: tuple[ChainImage, ...] = ()
    error: JobError | None = None
    ended_at: Moment | None = None


class ChainStep(Model):
    """One step of a chain."""

    type: GenerationType
    follow_up: FollowUp | None = None
    """What was asked for; null in the first step, which is the chain's request itself."""
    state: StepState = "waiting"
    tries: tuple[ChainTry, ...] = ()
    images: tuple[AssetId, ...] = ()
    """Those of all tries; of a sheet in the order of its poses."""
    error: JobError | None = None


class Chain(Model):
    """The `chains` document (`_id` is the chain id). Written by characters only; others may read.

    `request` is null while news of its jobs, or commands, came before the request that begins it.
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
    """Jobs that were heard of before the request."""
    cancelled_at: Moment | None = None
    cancel_reason: Line = ""
    resumed_at: Moment | None = None
    """The newest command of each kind; the newer of the two holds."""
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None = None
    version: int = 0

    @property
    def is_cancelled(self) -> bool:
        """Whether nothing more of it is to be started."""
        if self.cancelled_at is None:
            return False
        return self.resumed_at is None or self.cancelled_at > self.resumed_at
