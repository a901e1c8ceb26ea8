"""Renders at a provider: commands to gateways, and the outcomes of attempts."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from contracts.base import UUID_PATTERN, AssetId, Id, Line, Message, Model, Moment, Name, Provider, Seed
from contracts.generation import RenderSpec
from contracts.notices import Notice
from contracts.scalars import TextPattern

AttemptId = Annotated[
    str, TextPattern(rf"^{UUID_PATTERN}/[0-9]{{1,3}}/[0-9]{{1,3}}$", "an attempt's id, {job_id}/{index}/{n}")
]
"""Id of one submission of a render: `{job_id}/{index}/{n}`, n from 1 (`contracts.ids.AttemptKey`)."""

RenderId = AssetId
"""Id of one image of a job: `{job_id}/{index}` (`contracts.ids.RenderKey`)."""

Billed = Literal["yes", "no", "unknown"]
"""Billing of an attempt by its provider. `unknown` if the provider gave no usable answer."""


class RenderRequested(Message):
    """Submit a render (command). Produced by dispatcher, consumed by that provider's gateway."""

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
    """0 is the highest priority, 9 the lowest."""
    deadline_at: Moment
    """Time after which the result is not needed."""
    alternatives: bool = False
    """True if another provider can do the render. A gateway that cannot submit then fails it at once."""


class RenderCancel(Message):
    """Cancel an attempt (command). Produced by dispatcher, consumed by that provider's gateway."""

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
    """Fields that all messages about an attempt have."""

    identity: ClassVar[tuple[str, ...]] = ("attempt_id",)

    attempt_id: AttemptId
    job_id: Id
    tenant: Name
    provider: Provider
    at: Moment


class RenderProgressed(AttemptMessage):
    """An attempt made progress. Produced by gateways, result-store (`storing`); consumed by dispatcher."""

    topic: ClassVar[str] = "render.progressed.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "state", "percent", "queue_position")

    state: Literal["queued", "running", "storing"]
    percent: int | None = Field(default=None, ge=0, le=100)
    queue_position: int | None = Field(default=None, ge=0)
    """Position in the provider's queue; 0 is next."""


class Output(Model):
    """A file at the provider: a `url`, or a `path` relative to the provider's base URL."""

    url: str | None = None
    path: str | None = None
    content_type: str | None = None
    nsfw: bool = False
    role: Literal["image", "weights", "config"] = "image"
    """Purpose of the file. A training produces weights and may produce a configuration."""
    sha256: str | None = None
    """Checksum that the provider reported. The fetched file must match it."""


class RenderSucceeded(AttemptMessage):
    """An attempt produced its output at the provider. Produced by gateways, consumed by result-store.

    The size of an image is checked against `spec`. Providers round sides to multiples of 8, 16 or 64, and
    upscalers multiply them. Each side must therefore be at least half as long as requested, and the aspect
    within 5 % of the requested one. With `free_size` both sides must be at least 16 pixels. An attempt
    with any other image fails with code `wrong_size`.
    """

    topic: ClassVar[str] = "render.succeeded.v1"

    spec: RenderSpec
    outputs: tuple[Output, ...] = Field(min_length=1)
    free_size: bool = False
    """True if the caller's workflow determines the size: it does not use `{{width}}` and `{{height}}`, or
    has a node that may scale or crop the image."""
    dropped: tuple[Output, ...] = Field(default=(), max_length=100)
    """Other outputs of the run, which are not delivered. At most 100 are listed."""
    notices: tuple[Notice, ...] = ()
    seed: Seed | None
    """The seed that the provider reported, else the requested one. For a caller's workflow: the value of
    its seed inputs, null if it cannot be determined."""
    provider_seconds: float | None = None
    cost_usd: float | None = None
    base_model: Line | None = None
    """Base model of a trained LoRA. Only for trainings."""
    steps: int | None = None
    """Number of completed training steps. Only for trainings."""


class RenderFailed(AttemptMessage):
    """An attempt failed. Produced by gateways, result-store; consumed by dispatcher."""

    topic: ClassVar[str] = "render.failed.v1"
    identity: ClassVar[tuple[str, ...]] = ("attempt_id", "code")

    code: str
    """A short reason: `provider_unreachable`, `invalid_request`, `nsfw`, `output_unavailable`,
    `image_corrupt`, `wrong_size`."""
    message: str
    retryable: bool
    billed: Billed
    cost_usd: float | None = None
    """Price that the provider reported. Null if it reported none."""


class StoredImage(Model):
    """An image in the bucket. Links are signed from `key` when they are needed."""

    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int
    height: int
    seed: Seed | None
    """Null if a caller's workflow does not use `{{seed}}` and has no single seed of its own."""
    prompt: str
    provider: Provider
    attempt: int


class StoredLora(Model):
    """A trained LoRA in the bucket: safetensors weights, and a manifest of the training.

    `key`, `trigger_word` and `base_model` are the fields of `contracts.characters.Lora`.
    """

    key: str
    manifest_key: str
    content_type: str
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None
    """Null if neither the request nor the trainer specified them."""
    provider: Provider
    attempt: int


class LoraManifest(Model):
    """Manifest of a stored LoRA: the JSON object under its `manifest_key`."""

    key: str
    """Object key of the weights."""
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None
    training_images: tuple[AssetId, ...]
    captions: tuple[str, ...]
    """One per training image, or none."""
    provider: Provider
    attempt: int
    provider_seconds: float | None
    created_at: Moment
    """Time at which the training ended."""
    config: dict[str, Any] | None
    """Configuration that the trainer reported. Null if it reported none."""


class ResultStored(AttemptMessage):
    """The result of a render was stored. Produced by result-store, consumed by dispatcher.

    Exactly one of `image` and `lora` is set. `duplicate` is true if the result of another attempt was
    stored first and this one was discarded.
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
            raise ValueError("set either 'image' or 'lora'")
        return self
