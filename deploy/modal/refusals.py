"""What a deployment cannot do, said before anything is started: it costs nothing."""

from dataclasses import dataclass
from typing import Any

from contracts.modal_app import ModalImageInput, ModalSubmit, ModalTrainingInput
from deploy.modal.settings import AppSettings

LARGEST_SIDE = 2048
SMALLEST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """One field of the input, and why it cannot be."""

    field: str
    reason: str

    def as_detail(self) -> dict[str, Any]:
        return {"loc": ["body", *self.field.split(".")], "msg": self.reason, "type": "unsupported"}


def refusals(asked: ModalSubmit, settings: AppSettings) -> list[Refusal]:
    if isinstance(asked.input, ModalTrainingInput):
        return _of_training(asked.input, settings)
    if asked.input.workflow is not None:
        return _of_workflow(asked.input, settings)
    return _of_image(asked.input, settings)


def _of_training(asked: ModalTrainingInput, settings: AppSettings) -> list[Refusal]:
    if not settings.training:
        return [Refusal("kind", "this deployment does not train: IMAGEGEN_MODAL_TRAINING is off")]
    return _of_model("input.base_model", asked.base_model, settings)


def _of_workflow(asked: ModalImageInput, settings: AppSettings) -> list[Refusal]:
    if not settings.comfyui:
        return [Refusal("input.workflow", "this deployment has no ComfyUI: IMAGEGEN_MODAL_COMFYUI is off")]
    if not asked.workflow:
        return [Refusal("input.workflow", "the graph is empty")]
    return []


def _of_image(asked: ModalImageInput, settings: AppSettings) -> list[Refusal]:
    found = _of_model("input.model", asked.model, settings)
    for field, side in (("input.width", asked.width), ("input.height", asked.height)):
        if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            found.append(Refusal(field, f"sides are {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"))
    if asked.face_url and not settings.face_swap:
        found.append(Refusal("input.face_url", "no face swap here: IMAGEGEN_MODAL_FACE_SWAP is off"))
    return found


def _of_model(field: str, model: str | None, settings: AppSettings) -> list[Refusal]:
    if model is None or model in settings.models:
        return []
    return [Refusal(field, f"{model!r} is none of {', '.join(settings.models)}")]
