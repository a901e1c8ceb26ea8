"""templates/*.json and a render → the graph to run."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.runtime.dialects import Dialect, dialect_of, model_names
from services.gateways.runtime.provider import Order
from services.gateways.runtime.workflows import callers_graph, filled, prefix_of

LORA_NAME = "{{lora_name}}"


def template_of(order: Order) -> str:
    """Which template fits a render that brings no workflow of its own."""
    if order.spec.lora:
        return "flux_lora" if reads(order, "tags") == "prose" else "lora"
    if order.spec.face:
        return "face_swap"
    return "reference" if order.spec.reference else "base"


def loads_lora(order: Order) -> bool:
    """Whether the graph will ask the server for the order's LoRA."""
    return order.spec.lora is not None and LORA_NAME in json.dumps(_graph(order))


def reads(order: Order, otherwise: Dialect) -> Dialect:
    """The dialect of the model that draws an order, `otherwise` where the order does not say which."""
    if order.workflow:
        return dialect_of(model_names(order.workflow), otherwise)
    lora = order.spec.lora
    return dialect_of([lora.base_model], otherwise) if lora else otherwise


def graph_of(
    order: Order, settings: ComfyUISettings, *, lora_name: str = "", **images: str
) -> dict[str, Any]:
    """The caller's workflow, or the fitting template, filled in."""
    lora = order.spec.lora
    more = images | {
        "checkpoint": settings.checkpoint,
        "flux_checkpoint": settings.flux_checkpoint,
        "lora_name": lora_name,
        "lora_scale": lora.scale if lora else 1.0,
    }
    if order.workflow:
        return callers_graph(order, **more)
    return filled(_graph(order), order.spec, prefix=prefix_of(order), **more)


def _graph(order: Order) -> dict[str, Any]:
    return order.workflow or _template(template_of(order))


@cache
def _template(name: str) -> dict[str, Any]:
    text = files("services.gateways.comfyui").joinpath("templates", f"{name}.json").read_text()
    graph: dict[str, Any] = json.loads(text)
    return graph
