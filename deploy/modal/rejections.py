"""Reject requests that a deployment cannot serve before anything is started and billed."""

from dataclasses import dataclass
from typing import Any

from contracts.modal_app import ModalImageInput, ModalSubmit, ModalTrainingInput
from deploy.modal.settings import AppSettings

LARGEST_SIDE = 2048
SMALLEST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Rejection:
    """One field of the input, and the reason for its rejection."""

    field: str
    reason: str

    def as_detail(self) -> dict[str, Any]:
        return {"loc": ["body", *self.field.split(".")], "msg": self.reason, "type": "unsupported"}


def rejections(request: ModalSubmit, settings: AppSettings) -> list[Rejection]:
    if isinstance(request.input, ModalTrainingInput):
        return _of_training(request.input, settings)
    if request.input.workflow is not None:
        return _of_workflow(request.input, settings)
    return _of_image(request.input, settings)


def _of_training(request: ModalTrainingInput, settings: AppSettings) -> list[Rejection]:
    if not settings.training:
        return [Rejection("kind", "training is not available: IMAGEGEN_MODAL_TRAINING is off")]
    return _of_model("input.base_model", request.base_model, settings)


def _of_workflow(request: ModalImageInput, settings: AppSettings) -> list[Rejection]:
    if not settings.comfyui:
        return [Rejection("input.workflow", "ComfyUI is not available: IMAGEGEN_MODAL_COMFYUI is off")]
    if not request.workflow:
        return [Rejection("input.workflow", "the graph is empty")]
    return []


def _of_image(request: ModalImageInput, settings: AppSettings) -> list[Rejection]:
    found = _of_model("input.model", request.model, settings)
    for field, side in (("input.width", request.width), ("input.height", request.height)):
        if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            found.append(Rejection(field, f"must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"))
    if request.face_url and not settings.face_swap:
        found.append(
            Rejection("input.face_url", "face swap is not available: IMAGEGEN_MODAL_FACE_SWAP is off")
        )
    return found


def _of_model(field: str, model: str | None, settings: AppSettings) -> list[Rejection]:
    if model is None or model in settings.models:
        return []
    return [Rejection(field, f"{model!r} is not one of {', '.join(settings.models)}")]
