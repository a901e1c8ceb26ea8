"""Graphs to run: a caller's workflow, or a template of templates/*.json, filled in."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from contracts.workflows import CHECKPOINT_ENDINGS, is_checkpoint
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.dialects import Dialect, dialect_of, model_names
from services.gateways.kit.provider import AttemptRequest, Rejected
from services.gateways.kit.workflows import callers_graph, filled, prefix_of

LORA_NAME = "{{lora_name}}"


def template_of(request: AttemptRequest) -> str:
    """Return the name of the template for a render without a workflow of its own."""
    if request.spec.lora:
        return "flux_lora" if reads(request, "tags") == "prose" else "lora"
    if request.spec.face:
        return "face_swap"
    return "reference" if request.spec.reference else "base"


def loads_lora(request: AttemptRequest) -> bool:
    """Return whether the graph loads the request's LoRA."""
    return request.spec.lora is not None and LORA_NAME in json.dumps(_graph(request))


def reads(request: AttemptRequest, otherwise: Dialect) -> Dialect:
    """Return the dialect of the model that draws a request, `otherwise` if the request names no model."""
    if request.workflow:
        return dialect_of(model_names(request.workflow), otherwise)
    lora = request.spec.lora
    return dialect_of([lora.base_model if lora else request.model or ""], otherwise)


def graph_of(
    request: AttemptRequest, settings: ComfyUISettings, *, lora_name: str = "", **images: str
) -> dict[str, Any]:
    """Return the caller's workflow, or the fitting template, filled in."""
    lora = request.spec.lora
    asked = checkpoint_of(request)
    more = images | {
        "checkpoint": asked or settings.checkpoint,
        "flux_checkpoint": asked or settings.flux_checkpoint,
        "lora_name": lora_name,
        "lora_scale": lora.scale if lora else 1.0,
    }
    if request.workflow:
        return callers_graph(request, **more)
    return filled(_graph(request), request.spec, prefix=prefix_of(request), **more)


def checkpoint_of(request: AttemptRequest) -> str | None:
    """Return the checkpoint that the request names as its `model`, None if it names none.

    The server refuses a file that it does not have.

    Raises:
        Rejected: `model` is no checkpoint, or the request has a workflow, which names its own.
    """
    if request.model is None:
        return None
    if request.workflow:
        raise Rejected("unsupported", "'model' must be left out with a workflow, which names its own models")
    if not is_checkpoint(request.model):
        endings = ", ".join(CHECKPOINT_ENDINGS)
        raise Rejected(
            "unsupported",
            f"model {request.model[:200]!r} is no checkpoint of a ComfyUI server: its name must end in"
            f" one of {endings}",
        )
    return request.model


def _graph(request: AttemptRequest) -> dict[str, Any]:
    return request.workflow or _template(template_of(request))


@cache
def _template(name: str) -> dict[str, Any]:
    text = files("services.gateways.comfyui").joinpath("templates", f"{name}.json").read_text()
    graph: dict[str, Any] = json.loads(text)
    return graph
