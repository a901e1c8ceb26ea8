"""HTTP contract of the Modal application: shared by the gateway, the application and the simulator.

Modal has no public job API. `deploy/modal` deploys these routes:

| call                          | answer                                                      |
|-------------------------------|-------------------------------------------------------------|
| `POST /submit` `ModalSubmit`  | 200 `ModalSubmitted`, the same call for the same `id`; 422 rejected |
| `GET /result/{call_id}`       | 200 `ModalResult`, 202 `ModalPending`, 404 unknown, 410 `ModalStopped` |
| `GET /by-id/{id}`             | 200 `ModalSubmitted`, 404                                   |
| `GET /calls`                  | 200 `ModalUnfinished`                                       |
| `POST /cancel/{call_id}`      | 200 `{}` in any state; read the result afterwards           |
| `GET /outputs/{call_id}/{name}` | 200 bytes, 404                                            |

Any route may answer 503 with `Retry-After`; repeat the request then. If a submission is answered with the
header `X-Imagegen-Undecided`, a call may have been started: ask `/by-id` before submitting again.
Modal itself answers 401 in plain text without the `Modal-Key` and `Modal-Secret` headers, and 404 in plain
text if the application is not deployed. The answers of the application are JSON.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

UNDECIDED = "X-Imagegen-Undecided"
"""Header of a 503 after which a call may have been started."""
TOO_LATE = "DeadlineExceeded"
"""Error type of a call that was not started because its deadline had passed."""

WORKFLOW_REFUSED = "WorkflowRefused"
"""Error type of a workflow that ComfyUI rejected, completely or in part."""


class ModalModel(BaseModel):
    """A frozen model that ignores unknown fields, so that app and gateway can be deployed separately."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModalLora(ModalModel):
    """A LoRA to apply: a URL that the app can read, and its strength (1.0 is full)."""

    url: str
    scale: float = 1.0


class ModalImageInput(ModalModel):
    """Input of one image; sizes in pixels. `reference_url` guides the image, `face_url` is swapped in."""

    prompt: str
    negative_prompt: str = ""
    seed: int
    width: int
    height: int
    model: str | None = None
    reference_url: str | None = None
    face_url: str | None = None
    lora: ModalLora | None = None
    workflow: dict[str, Any] | None = None
    """A ComfyUI graph in API format. If set, the app runs it unchanged."""


class ModalTrainingImage(ModalModel):
    """A training image. Without a caption, the trigger word is its caption."""

    url: str
    caption: str = ""


class ModalTrainingInput(ModalModel):
    """Input of a LoRA training: `images`, or a zip with images.

    In a zip, `mia.txt` is the caption of `mia.png`.
    """

    trigger_word: str = Field(min_length=1, max_length=100)
    images: tuple[ModalTrainingImage, ...] = Field(default=(), max_length=200)
    images_zip_url: str | None = None
    steps: int = Field(default=1000, ge=1, le=10_000)
    rank: int = Field(default=16, ge=1, le=128)
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    resolution: int = Field(default=512, ge=256, le=1024, multiple_of=16)
    seed: int = 0
    base_model: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.images) == bool(self.images_zip_url):
            raise ValueError("set either images or images_zip_url")
        return self


def _kind_of(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "lora_training" if isinstance(value, ModalTrainingInput) else "image"
    return "lora_training" if isinstance(value, dict) and "trigger_word" in value else "image"


ModalInput = Annotated[
    Annotated[ModalImageInput, Tag("image")] | Annotated[ModalTrainingInput, Tag("lora_training")],
    Discriminator(_kind_of),
]


class ModalSubmit(ModalModel):
    """Start a call. `id` is the caller's idempotency key: the app starts at most one call for it."""

    id: str = Field(min_length=1, max_length=128)
    kind: Literal["image", "lora_training"] = "image"
    input: ModalInput
    deadline_at: AwareDatetime | None = None
    """Time after which the result is not needed. A call that gets its GPU later fails with `TOO_LATE`."""

    def is_late(self, now: datetime) -> bool:
        """Return whether the deadline has passed at a time with a zone."""
        return self.deadline_at is not None and self.deadline_at <= now

    @model_validator(mode="after")
    def _input_of_its_kind(self) -> Self:
        if _kind_of(self.input) != self.kind:
            raise ValueError(f"the input does not match kind {self.kind!r}")
        return self


class ModalSubmitted(ModalModel):
    """The call that belongs to the caller's id."""

    call_id: str = Field(pattern=r"^fc-[A-Za-z0-9]+$")
    id: str


class ModalUnfinished(ModalModel):
    """Calls that have not ended as far as the app knows. Poll each one for its state."""

    calls: tuple[ModalSubmitted, ...]


class ModalStopped(ModalModel):
    """The call was cancelled. `started` is true if it ran before, so that its time is billed."""

    status: Literal["cancelled"] = "cancelled"
    started: bool | None = None


class ModalPending(ModalModel):
    """The call waits for a container or runs. `progress` is in percent, null if unknown."""

    status: Literal["pending", "running"] = "pending"
    progress: float | None = None


class ModalOutput(ModalModel):
    """A file of a result at `path` of the app (`/outputs/{call_id}/{name}`)."""

    path: str
    content_type: str
    width: int | None = None
    height: int | None = None
    nsfw: bool = False


class ModalManifest(ModalModel):
    """Manifest of a trained LoRA: the output at `path`, and the values to use and verify it."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    base_model: str
    trigger_word: str
    steps: int
    rank: int


class ModalError(ModalModel):
    """Error of a failed call. `type` is the class name of the exception."""

    type: str
    message: str
    retryable: bool = False


class ModalResult(ModalModel):
    """Outcome of a call: outputs or an error. `manifest` describes the output of a training.

    All saved images of a workflow are outputs, its result (`contracts.workflows.result_of`) first.
    """

    status: Literal["succeeded", "failed"]
    outputs: tuple[ModalOutput, ...] = ()
    seed: int | None = None
    gpu_seconds: float | None = None
    manifest: ModalManifest | None = None
    error: ModalError | None = None
