"""Placeholders in ComfyUI graphs: `{{prompt}}`, `{{seed}}` and others are filled in."""

from collections.abc import Mapping
from typing import Any, Final

from contracts.generation import RenderSpec
from contracts.workflows import PLACEHOLDER, PREFIX, nodes_of_result
from services.gateways.kit.provider import AttemptRequest

SIZE: Final = {"width": "{{width}}", "height": "{{height}}"}.items()
KEEPS_SIZE: Final = frozenset(
    {
        "BasicGuider",
        "BasicScheduler",
        "CFGGuider",
        "CLIPLoader",
        "CLIPSetLastLayer",
        "CLIPTextEncode",
        "CLIPTextEncodeFlux",
        "CheckpointLoaderSimple",
        "ConditioningZeroOut",
        "DualCLIPLoader",
        "FluxGuidance",
        "KSampler",
        "KSamplerAdvanced",
        "KSamplerSelect",
        "LoraLoader",
        "LoraLoaderModelOnly",
        "ModelSamplingFlux",
        "ModelSamplingSD3",
        "PrimitiveInt",
        "PrimitiveString",
        "RandomNoise",
        "SamplerCustom",
        "SamplerCustomAdvanced",
        "SaveImage",
        "UNETLoader",
        "VAEDecode",
        "VAEDecodeTiled",
        "VAELoader",
    }
)
"""ComfyUI's own nodes that draw an image in the size of its latent image. Any other may change the size."""


def callers_graph(request: AttemptRequest, **more: object) -> dict[str, Any]:
    """Return the caller's workflow, filled in, with files of its own.

    A file prefix without `{{prefix}}` gets the request's id: a server answers from its cache what it ran
    before, with the names of files that may be gone.
    """
    assert request.workflow is not None, "only requests with a workflow have a caller's graph"
    graph = filled(request.workflow, request.spec, **({"prefix": prefix_of(request)} | more))
    for node, before in request.workflow.items():
        prefix = before.get("inputs", {}).get(PREFIX)
        if isinstance(prefix, str) and "{{prefix}}" not in prefix:
            name = graph[node]["inputs"][PREFIX]  # a number, if the prefix is one placeholder
            graph[node]["inputs"][PREFIX] = f"{name}-{request.idempotency_key[:8]}"
    return graph


def prefix_of(request: AttemptRequest) -> str:
    """Return a file prefix that no other run has."""
    return f"imagegen/{request.idempotency_key}"


def filled(graph: dict[str, Any], spec: RenderSpec, **more: object) -> dict[str, Any]:
    """Return the graph with its placeholders filled from a render and from `more`.

    A text that is one placeholder and nothing else takes the value's own type (`"{{seed}}"` → 7).
    Unknown placeholders stay as they are.
    """
    values = {
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt,
        "seed": spec.seed,
        "width": spec.width,
        "height": spec.height,
    }
    result = _fill(graph, values | more)
    assert isinstance(result, dict)
    return result


def has_free_size(workflow: dict[str, Any] | None) -> bool:
    """Return whether the caller's workflow chooses the size of its image: see `RenderSucceeded.free_size`.

    It does not if the result is drawn with both placeholders and all nodes after them keep the size.
    """
    if workflow is None:
        return False
    nodes = nodes_of_result(workflow)
    sized = {node for node, inputs in nodes.items() if inputs.items() >= SIZE}
    drawing = [str(workflow[node].get("class_type")) for node in nodes.keys() - sized]
    return not sized or not all(kind in KEEPS_SIZE for kind in drawing)


def _fill(value: object, values: Mapping[str, object]) -> object:
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole:
        return values.get(whole[1], value)
    return PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), value)
