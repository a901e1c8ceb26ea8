"""Requests and plans: `generation.requested`, `.planned`, `.rejected`, `.waiting`, `.cancel`."""

from typing import Any, ClassVar, Literal

from pydantic import Field

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
    Seed,
    Text,
    UserId,
    WebAddress,
)
from contracts.characters import Character, Lora
from contracts.notices import Notice
from contracts.requests import FollowUps, GenerationRequest
from contracts.strictness import CallerMessage


class Notify(Model):
    """Receiver of a job's events. The webhook receives every numbered event, signed (docs/webhooks.md)."""

    webhook_url: WebAddress | None = Field(default=None, examples=["https://example.com/hooks/imagegen"])
    """Receiver of the events: an http or https address in ASCII of at most 2000 characters. Credentials
    (`user:password@`) are sent as Basic authentication. They appear in no answer, event or log line."""


class GenerationRequested(CallerMessage):
    """Generate images or train a LoRA (command).

    Produced by upstream services, api, characters, dispatcher; consumed by prompt-builder, characters.

    The caller chooses `job_id`. Repeating the same request under it has no effect. A request for a
    character that is not stored yet waits (`generation.waiting`). The dispatcher publishes it again once
    the character is stored.
    """

    topic: ClassVar[str] = "generation.requested.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id",)

    job_id: Id
    tenant: Name
    user_id: UserId
    request: GenerationRequest
    requested_at: Moment | None = None
    """Time of the user's request, from which deadlines count. The record's time is used instead if it is
    left out, later than the record, or more than seven days old."""
    notify: Notify = Notify()
    then: FollowUps = ()
    """Follow-ups, which make the request a chain. After a sheet: first its training, then pictures."""
    chain_id: Id | None = None
    """Chain that this job is a step of. Left out with `then`: a new chain under the job's id."""
    character_accepted: bool = False
    """True if the api has already accepted the character. The job then waits for it until the deadline of
    the request's type instead of one minute."""
    awaited_choice: Id | None = None
    """Chain id of a face selection that the api accepted for the character before this request. Planning
    waits until the selection is stored."""

    @property
    def chain(self) -> str | None:
        """Id of the chain that the request starts or belongs to."""
        return self.chain_id or (self.job_id if self.then else None)

    @property
    def character_id(self) -> str | None:
        """Id of the stored character of the request. A character that the first request of a chain
        describes inline is stored under the chain's id."""
        stored: str | None = getattr(self.request, "character_id", None)
        return stored or (self.chain if self.then else None)


class RenderSpec(Model):
    """Specification of one render. Sizes are in pixels."""

    index: int = Field(ge=0)
    kind: Literal["image", "lora_training"] = "image"
    label: Line
    """Name of the image within its job: a pose, a shot or a number."""
    prompt: str
    """Prompt in prose, for Flux models. In messages of gateways: the text that the model received."""
    tag_prompt: str = ""
    """Prompt as weighted tags, for SDXL models: `(green eyes:1.1)`. Empty: use `prompt`."""
    negative_prompt: str = ""
    """Things to avoid, for models with a negative prompt (SDXL, not Flux)."""
    caption: str = ""
    """Training caption: `{trigger}`, then the features that vary between images, without those that the
    LoRA must learn. Empty for images that are not made for training."""
    seed: Seed = 0
    width: int = 1024
    height: int = 1024
    nsfw_allowed: bool = False
    reference: AssetId | None = None
    """Image whose person the render must keep."""
    face: AssetId | None = None
    """Image whose face is swapped in."""
    lora: Lora | None = None
    training_images: tuple[AssetId, ...] = ()
    captions: tuple[Text, ...] = ()
    """One per training image, or none. For an empty caption the trigger word is used."""
    steps: int | None = Field(default=None, ge=1)
    """Number of training steps. Null: the gateway's setting."""


class PlanRequest(Model):
    """Fields of a request that the steps after planning need."""

    job_id: Id
    tenant: Name
    user_id: UserId
    type: GenerationType
    request_hash: str
    """SHA-256 of the request; tells a repetition from another request under the same id."""
    requested_at: Moment
    notify: Notify = Notify()
    chain_id: Id | None = None
    character_id: CharacterId | None = None
    character: Character | None = None
    """The character at the time of planning."""


class GenerationPlanned(PlanRequest, Message):
    """A request was planned into renders. Produced by prompt-builder, consumed by dispatcher."""

    topic: ClassVar[str] = "generation.planned.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    renders: tuple[RenderSpec, ...] = Field(min_length=1)
    waits_for_lora: bool = False
    """True if rendering waits for the character's LoRA, which is then added to every render."""
    partial: bool = False
    """True if single poses of an existing character sheet are drawn again."""
    provider: Provider | None = None
    model: str | None = None
    workflow: dict[str, Any] | None = None
    notices: tuple[Notice, ...] = ()


class Reason(Model):
    """Reason for a rejection: the path of the field, and a message with the remedy."""

    field: str
    message: str


class GenerationRejected(PlanRequest, Message):
    """A request was rejected. Produced by prompt-builder, consumed by dispatcher.

    A `type` that could not be read is replaced by "studio". A request without a readable job id, tenant
    or user id is a dead letter instead: no user could see its job.
    """

    topic: ClassVar[str] = "generation.rejected.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    reasons: tuple[Reason, ...] = Field(min_length=1)


class GenerationWaiting(PlanRequest, Message):
    """A request waits for a character that is not stored yet. Produced by prompt-builder; consumed by
    dispatcher.

    The waiting job is visible and can be cancelled. Once the character is stored, the dispatcher publishes
    the request again. If it is not stored in time, the job is rejected for these reasons.
    """

    topic: ClassVar[str] = "generation.waiting.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    requested: GenerationRequested
    """The original request, with the time from which its deadlines count."""
    reasons: tuple[Reason, ...] = Field(min_length=1)


class GenerationConflicted(Message):
    """The first job of a chain was refused because another request has its job id.

    Produced by dispatcher; consumed by characters.
    """

    topic: ClassVar[str] = "generation.conflicted.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "chain_id")

    job_id: Id
    tenant: Name
    """Tenant of the refused request and of its chain."""
    chain_id: Id
    reason: str
    at: Moment


class GenerationCancel(CallerMessage):
    """Cancel a job (command). Produced by upstream services, api, characters; consumed by dispatcher."""

    topic: ClassVar[str] = "generation.cancel.v1"
    identity: ClassVar[tuple[str, ...]] = ("tenant", "job_id")

    job_id: Id
    tenant: Name
    """Tenant of the job. A cancel from another tenant has no effect."""
    reason: Line = "cancelled by the caller"
