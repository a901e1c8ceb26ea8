"""From a request to a plan: `generation.requested`, `.planned`, `.rejected`, `.cancel`."""

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
    """Address for the job's events. The webhook gets every numbered event, signed (docs/webhooks.md)."""

    webhook_url: WebAddress | None = Field(default=None, examples=["https://example.com/hooks/imagegen"])
    """Where to send the events: an http or https address in ASCII of at most 2000 characters. With
    `user:password@` it is sent with Basic authentication; no answer, event or log line shows them."""


class GenerationRequested(CallerMessage):
    """Please generate.

    Produced by upstream services, api, characters, dispatcher; consumed by prompt-builder, characters.

    The caller chooses `job_id`; saying the same request again under it changes nothing. A request for
    a character that is not stored yet waits for it (`generation.waiting`); the dispatcher publishes
    it again when the character is there.
    """

    topic: ClassVar[str] = "generation.requested.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id",)

    job_id: Id
    tenant: Name
    user_id: UserId
    request: GenerationRequest
    requested_at: Moment | None = None
    """When the user asked; deadlines count from here. By default, at the latest, and instead of a time more
    than seven days old: the record's time."""
    notify: Notify = Notify()
    then: FollowUps = ()
    """What is to follow by itself: a chain. After a sheet first its training, then pictures."""
    chain_id: Id | None = None
    """The chain that this job is a step of; left out with `then`: a new one under the job's id."""
    character_accepted: bool = False
    """True when the api has accepted the character already: it is then waited for until the deadline
    of the request's type, not for a minute only."""
    awaited_choice: Id | None = None
    """The choice of a face, by its chain, that the api accepted for the character before this request:
    planning waits until it is stored."""

    @property
    def chain(self) -> str | None:
        """The id of the chain it begins or belongs to."""
        return self.chain_id or (self.job_id if self.then else None)

    @property
    def character_id(self) -> str | None:
        """The stored character it is about; one described inline in a chain's beginning is stored
        under the chain's id."""
        stored: str | None = getattr(self.request, "character_id", None)
        return stored or (self.chain if self.then else None)


class RenderSpec(Model):
    """What one render must show. Sizes in pixels."""

    index: int = Field(ge=0)
    kind: Literal["image", "lora_training"] = "image"
    label: Line
    """What tells this image from its siblings: a pose, a shot, a number."""
    prompt: str
    """In prose, for Flux models. In what a gateway says: the text that the model was given."""
    tag_prompt: str = ""
    """The same picture as weighted tags, for SDXL models: `(green eyes:1.1)`. Empty: there is none."""
    negative_prompt: str = ""
    """What must not be seen, for models that take it: SDXL does, Flux does not."""
    caption: str = ""
    """For the trainer of a LoRA: `{trigger}`, then what varies from image to image, and never what
    the LoRA must learn. Empty where the image is not made for training."""
    seed: Seed = 0
    width: int = 1024
    height: int = 1024
    nsfw_allowed: bool = False
    reference: AssetId | None = None
    """An image whose person is to be kept."""
    face: AssetId | None = None
    """An image whose face is swapped in."""
    lora: Lora | None = None
    training_images: tuple[AssetId, ...] = ()
    captions: tuple[Text, ...] = ()
    """One per training image, or none at all; an empty one leaves its image to the trigger word."""
    steps: int | None = Field(default=None, ge=1)
    """How long to train; None leaves it to the gateway's settings."""


class PlanRequest(Model):
    """What of a request the steps after planning need."""

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
    """The character as it was when this was planned."""


class GenerationPlanned(PlanRequest, Message):
    """The request became renders. Produced by prompt-builder, consumed by dispatcher."""

    topic: ClassVar[str] = "generation.planned.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    renders: tuple[RenderSpec, ...] = Field(min_length=1)
    waits_for_lora: bool = False
    """Nothing is rendered before the character's LoRA is ready; it is then put into every render."""
    partial: bool = False
    """Whether single poses of a character sheet are drawn again, not a new one."""
    provider: Provider | None = None
    model: str | None = None
    workflow: dict[str, Any] | None = None
    notices: tuple[Notice, ...] = ()


class Reason(Model):
    """Why something cannot be done: the field by its path, and what to do."""

    field: str
    message: str


class GenerationRejected(PlanRequest, Message):
    """The request cannot be done. Produced by prompt-builder, consumed by dispatcher.

    What of the request could not be read is replaced: `user_id` by "unknown",
    `type` by "studio".
    """

    topic: ClassVar[str] = "generation.rejected.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    reasons: tuple[Reason, ...] = Field(min_length=1)


class GenerationWaiting(PlanRequest, Message):
    """The request names a character that is not stored yet. Produced by prompt-builder; consumed by
    dispatcher.

    The job waits, visible and cancellable. When the character appears the dispatcher publishes the
    request again; when it does not appear in time, the job is rejected for these reasons.
    """

    topic: ClassVar[str] = "generation.waiting.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "request_hash")

    requested: GenerationRequested
    """The request as it was, with the time from which its deadlines count."""
    reasons: tuple[Reason, ...] = Field(min_length=1)


class GenerationConflicted(Message):
    """The first job of a chain cannot be: another request has its job id.

    Produced by dispatcher; consumed by characters.
    """

    topic: ClassVar[str] = "generation.conflicted.v1"
    identity: ClassVar[tuple[str, ...]] = ("job_id", "chain_id")

    job_id: Id
    tenant: Name
    """The refused request's, as is the chain."""
    chain_id: Id
    reason: str
    at: Moment


class GenerationCancel(CallerMessage):
    """Please stop. Produced by upstream services, api, characters; consumed by dispatcher."""

    topic: ClassVar[str] = "generation.cancel.v1"
    identity: ClassVar[tuple[str, ...]] = ("tenant", "job_id")

    job_id: Id
    tenant: Name
    """A cancel from another tenant than the job's changes nothing."""
    reason: Line = "cancelled by the caller"
