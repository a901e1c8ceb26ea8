"""What our own Modal application says over HTTP: one truth for gateway, app and simulator.

Modal has no public job API: the routes below are the ones that `deploy/modal` deploys.

| call                          | answer                                                      |
|-------------------------------|-------------------------------------------------------------|
| `POST /submit` `ModalSubmit`  | 200 `ModalSubmitted`; the same `id` again gives the same call |
| `GET /result/{call_id}`       | 200 `ModalResult`, 202 `ModalPending`, 404 unknown, 410 stopped |
| `GET /by-id/{id}`             | 200 `ModalSubmitted`, 404                                   |
| `POST /cancel/{call_id}`      | 200 `{}` whether or not it still ran: read the result after |
| `GET /outputs/{call_id}/{name}` | 200 bytes, 404                                            |

Without `Modal-Key` and `Modal-Secret` headers Modal itself answers 401 in plain text.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


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


class ModalSubmit(ModalModel):
    """Start one call. `id` is the caller's own id: the app starts at most one call for it."""

    id: str = Field(min_length=1, max_length=128)
    kind: Literal["image"] = "image"
    input: ModalImageInput


class ModalSubmitted(ModalModel):
    """The call that runs for the caller's id."""

    call_id: str = Field(pattern=r"^fc-[A-Za-z0-9]+$")
    id: str


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


class ModalError(ModalModel):
    """Why a call failed. `type` is the exception's class name."""

    type: str
    message: str
    retryable: bool = False


class ModalResult(ModalModel):
    """The end of a call: outputs, or an error."""

    status: Literal["succeeded", "failed"]
    outputs: tuple[ModalOutput, ...] = ()
    seed: int | None = None
    gpu_seconds: float | None = None
    error: ModalError | None = None
