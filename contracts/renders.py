"""One render at one provider: commands to a gateway, and what became of them."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from contracts.base import UUID_PATTERN, AssetId, Id, Line, Message, Model, Moment, Name, Provider, Seed
from contracts.generation import RenderSpec
from contracts.notices import Notice
from contracts.scalars import TextPattern

AttemptId = Annotated[
    str, TextPattern(rf"^{UUID_PATTERN}/[0-9]{{1,3}}/[0-9]{{1,3}}$", "an attempt's id, {job_id}/{index}/{n}")
]
"""One submission of one render: `{job_id}/{index}/{n}`, n from 1."""

RenderId = AssetId
"""One image of a job: `{job_id}/{index}`."""

Billed = Literal["yes", "no", "unknown"]
"""Whether the provider charges for an attempt, as far as anyone can tell."""


class RenderRequested(Message):
    """Do this one render (command). Produced by dispatcher, consumed by that provider's gateway."""

    topic: ClassVar[str] = "render.requested.{provider}.v1"
    key: ClassVar[str] = "render_id"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id",)

    attempt_id: AttemptId
    render_id: RenderId
    job_id: Id
    tenant: Name
    provider: Provider
    spec: RenderSpec
    model: str | None = None
    workflow: dict[str, Any] | None = None
    priority: int = 5
    """0 is first, 9 is last."""
    deadline_at: Moment
    """After this no one wants the result."""
    alternatives: bool = False
    """Whether another provider could do it: a gateway that cannot send gives it back at once."""


class RenderCancel(Message):
    """Stop this attempt (command). Produced by dispatcher, consumed by that provider's gateway."""

    topic: ClassVar[str] = "render.cancel.{provider}.v1"
    key: ClassVar[str] = "render_id"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id",)

    attempt_id: AttemptId
    render_id: RenderId
    job_id: Id
    tenant: Name
    provider: Provider
    reason: Line


class AttemptMessage(Message):
    """What all news of an attempt carry."""

    identity: ClassVar[tuple[str, ...]] = ("attempt_id",)

    attempt_id: AttemptId
    job_id: Id
    tenant: Name
    provider: Provider
    at: Moment


class RenderProgressed(AttemptMessage):
    """An attempt moved. Produced by gateways, result-store (`storing`); consumed by dispatcher."""

    topic: ClassVar[str] = "render.progressed.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "state", "percent", "queue_position")

    state: Literal["queued", "running", "storing"]
    percent: int | None = Field(default=None, ge=0, le=100)
    queue_position: int | None = Field(default=None, ge=0)
    """0 is next."""


class Output(Model):
    """A file at the provider: a `url`, or a `path` below the provider's base URL."""

    url: str | None = None
    path: str | None = None
    content_type: str | None = None
    nsfw: bool = False
    role: Literal["image", "weights", "config"] = "image"
    """What it is for: a training gives weights, and perhaps the trainer's configuration."""
    sha256: str | None = None
    """The provider's word for its content; what was fetched must agree."""


class RenderSucceeded(AttemptMessage):
    """The provider has the output. Produced by gateways, consumed by result-store.

    The size of an image is checked against `spec`. Providers round sides to multiples of 8, 16 or 64,
    and upscalers multiply them, so the image must have each side at least half as long as asked and
    an aspect within 5 % of the asked one. With `free_size` both sides must be at least 16 pixels. Any
    other image ends its attempt as `wrong_size`.
    """

    topic: ClassVar[str] = "render.succeeded.v1"

    spec: RenderSpec
    outputs: tuple[Output, ...] = Field(min_length=1)
    free_size: bool = False
    """The caller's workflow chooses the size: it does not use `{{width}}` and `{{height}}`, or has a node
    that may scale or crop what it drew."""
    dropped: tuple[Output, ...] = Field(default=(), max_length=100)
    """Further outputs of the run, which are not delivered: the first hundred."""
    notices: tuple[Notice, ...] = ()
    seed: Seed | None
    """The seed that the provider says it used, else the one asked for. Of a caller's workflow: as its
    seed inputs have it, null where that cannot be told."""
    provider_seconds: float | None = None
    cost_usd: float | None = None
    base_model: Line | None = None
    """Of a training: the model that the LoRA belongs to."""
    steps: int | None = None
    """Of a training: how many steps were done."""


class RenderFailed(AttemptMessage):
    """An attempt gave no image. Produced by gateways, result-store; consumed by dispatcher."""

    topic: ClassVar[str] = "render.failed.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "code")

    code: str
    """A short reason: `provider_unreachable`, `invalid_request`, `nsfw`, `output_unavailable`,
    `image_corrupt`, `wrong_size`."""
    message: str
    retryable: bool
    billed: Billed
    cost_usd: float | None = None
    """As the provider says; null where it says nothing."""


class StoredImage(Model):
    """An image in our bucket. `key` is signed when it is read, so that links never die."""

    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int
    height: int
    seed: Seed | None
    """Null where a caller's workflow did not take ours and has not exactly one of its own."""
    prompt: str
    provider: Provider
    attempt: int


class StoredLora(Model):
    """A trained LoRA in our bucket: safetensors weights, and a manifest of how they came about.

    `key`, with `trigger_word` and `base_model`, is what `contracts.characters.Lora` asks for.
    """

    key: str
    manifest_key: str
    content_type: str
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None
    """None where neither the request nor the trainer said."""
    provider: Provider
    attempt: int


class LoraManifest(Model):
    """How a stored LoRA came about: the JSON object under its `manifest_key`."""

    key: str
    """The weights."""
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None
    training_images: tuple[AssetId, ...]
    captions: tuple[str, ...]
    """One per training image, or none at all."""
    provider: Provider
    attempt: int
    provider_seconds: float | None
    created_at: Moment
    """When the training ended."""
    config: dict[str, Any] | None
    """What the trainer says of itself, where it says anything."""


class ResultStored(AttemptMessage):
    """A render's result is safe. Produced by result-store, consumed by dispatcher.

    Either `image` or `lora` is there. `duplicate`: another attempt's result was first, and this
    one was thrown away.
    """

    topic: ClassVar[str] = "result.stored.v1"

    image: StoredImage | None = None
    lora: StoredLora | None = None
    duplicate: bool = False
    notices: tuple[Notice, ...] = ()
    provider_seconds: float | None = None
    cost_usd: float | None = None

    @model_validator(mode="after")
    def _one_result(self) -> Self:
        if (self.image is None) == (self.lora is None):
            raise ValueError("give either 'image' or 'lora'")
        return self
