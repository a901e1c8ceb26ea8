"""What our own Modal application says over HTTP: one truth for gateway, app and simulator.

Modal has no public job API: the routes below are the ones that `deploy/modal` deploys.

| call                          | answer                                                      |
|-------------------------------|-------------------------------------------------------------|
| `POST /submit` `ModalSubmit`  | 200 `ModalSubmitted`, for the same `id` the same call; 422 refused |
| `GET /result/{call_id}`       | 200 `ModalResult`, 202 `ModalPending`, 404 unknown, 410 `ModalStopped` |
| `GET /by-id/{id}`             | 200 `ModalSubmitted`, 404                                   |
| `GET /calls`                  | 200 `ModalUnfinished`                                       |
| `POST /cancel/{call_id}`      | 200 `{}` whether or not it still ran: read the result after |
| `GET /outputs/{call_id}/{name}` | 200 bytes, 404                                            |

Any of them may answer 503 with `Retry-After`: ask again. With the header `X-Imagegen-Undecided` a call
may have been started for a submission all the same: `/by-id` tells, before it is submitted again.
Without `Modal-Key` and `Modal-Secret` headers Modal itself answers 401 in plain text, and 404 in plain
text where the application is not deployed; the application's own answers are JSON.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

UNDECIDED = "X-Imagegen-Undecided"
TOO_LATE = "DeadlineExceeded"
"""The type of the error of a call that was not begun because its deadline had passed."""

WORKFLOW_REFUSED = "WorkflowRefused"
"""The type of the error of a workflow that ComfyUI would not run, or only a part of it."""


class ModalModel(BaseModel):
    """Frozen; unknown fields are ignored, so that app and gateway may be deployed apart."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModalLora(ModalModel):
    """A LoRA to apply: a URL that the app can read, and its weight (1.0 is full)."""

    url: str
    scale: float = 1.0


class ModalImageInput(ModalModel):
    """One image to draw; sizes in pixels. `reference_url` guides, `face_url` is swapped in."""

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
    """A ComfyUI graph in API format; when given, the app runs it as it is."""


class ModalTrainingImage(ModalModel):
    """One picture to learn from. Without a caption the trigger word is its caption."""

    url: str
    caption: str = ""


class ModalTrainingInput(ModalModel):
    """One LoRA to train, from `images` or from the pictures of one zip.

    In a zip, `mia.txt` beside `mia.png` is that picture's caption.
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
            raise ValueError("give either images or images_zip_url")
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
    """Start one call. `id` is the caller's own id: the app starts at most one call for it."""

    id: str = Field(min_length=1, max_length=128)
    kind: Literal["image", "lora_training"] = "image"
    input: ModalInput
    deadline_at: AwareDatetime | None = None
    """Nobody wants it later: a call that gets its GPU only then fails as `TOO_LATE`, without using it."""

    def is_late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_at is not None and self.deadline_at <= datetime.now(UTC)

    @model_validator(mode="after")
    def _input_of_its_kind(self) -> Self:
        if _kind_of(self.input) != self.kind:
            raise ValueError(f"the input is none of kind {self.kind!r}")
        return self


class ModalSubmitted(ModalModel):
    """The call that runs for the caller's id."""

    call_id: str = Field(pattern=r"^fc-[A-Za-z0-9]+$")
    id: str


class ModalUnfinished(ModalModel):
    """Calls that have not ended, as far as the app has noticed: to be looked at, one by one."""

    calls: tuple[ModalSubmitted, ...]


class ModalStopped(ModalModel):
    """The call was cancelled. `started`: it ran before that, so that its time is paid for."""

    status: Literal["cancelled"] = "cancelled"
    started: bool | None = None


class ModalPending(ModalModel):
    """The call waits for a container or runs; `progress` in percent where the app knows it."""

    status: Literal["pending", "running"] = "pending"
    progress: float | None = None


class ModalOutput(ModalModel):
    """One file of a result, to be read at `path` of the same app (`/outputs/{call_id}/{name}`)."""

    path: str
    content_type: str
    width: int | None = None
    height: int | None = None
    nsfw: bool = False


class ModalManifest(ModalModel):
    """A trained LoRA: the output at `path`, and all that is needed to use and to check it."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    base_model: str
    trigger_word: str
    steps: int
    rank: int


class ModalError(ModalModel):
    """Why a call failed. `type` is the exception's class name."""

    type: str
    message: str
    retryable: bool = False


class ModalResult(ModalModel):
    """The end of a call: outputs, or an error. `manifest` tells about a training's output.

    Of a workflow all saved images are outputs, its result (`contracts.workflows.result_of`) first.
    """

    status: Literal["succeeded", "failed"]
    outputs: tuple[ModalOutput, ...] = ()
    seed: int | None = None
    gpu_seconds: float | None = None
    manifest: ModalManifest | None = None
    error: ModalError | None = None
