"""Rules for a caller's ComfyUI workflow: its placeholders, its result and its seed.

A workflow is a graph in API format: node id → `class_type`, `inputs` and optionally `_meta`. It is
untrusted input, so every access checks types. `contracts.requests.RequestBase` documents the rules.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from contracts.base import Provider

PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
ANY_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
"""Pattern of texts that look like a placeholder, including misspelt ones."""
DOCUMENTED_PLACEHOLDERS: Final = ("prompt", "negative_prompt", "seed", "width", "height", "prefix")
PLACEHOLDERS: Final = frozenset(
    {
        *DOCUMENTED_PLACEHOLDERS,
        "checkpoint",
        "flux_checkpoint",
        "lora_name",
        "lora_scale",
        "reference_image",
        "face_image",
    }
)
"""All placeholders. The undocumented ones are filled in at ComfyUI only: names of files on its server."""
WORKFLOW_PROVIDERS: Final[tuple[Provider, ...]] = ("comfyui", "modal")
"""Providers that run a caller's workflow, as the dispatcher's policies state."""
CHECKPOINT_ENDINGS: Final = (".safetensors", ".sft", ".ckpt")
"""File name extensions of checkpoints at a ComfyUI server."""
RESULT_TITLE: Final = "result"
PREFIX: Final = "filename_prefix"
BATCH: Final = "batch_size"
SEED_INPUTS: Final = ("seed", "noise_seed")
VALUE_INPUTS: Final = ("value", "int", "number", *SEED_INPUTS)
"""Inputs of nodes that only hold a number."""
TEXT_INPUTS: Final = ("value", "string", "text")
"""Inputs of nodes that only hold a text."""
SEEDS: Final = 2**64

Graph = Mapping[str, Any]
File = Mapping[str, Any]
"""Reference to a file on the server: `filename`, `subfolder` and `type`."""


def is_checkpoint(name: str) -> bool:
    """Return whether the name of a model is that of a checkpoint at a ComfyUI server."""
    return name.lower().endswith(CHECKPOINT_ENDINGS)


@dataclass(frozen=True, slots=True)
class Result:
    """The file of a run that is delivered, and the files that are not."""

    node: str
    file: File
    dropped: tuple[File, ...] = ()


def result_of(graph: Graph, outputs: Mapping[str, Any]) -> Result | None:
    """Select the result among the saved images of a run. Return None if it saved none.

    The node titled `result` is used, else the node at the end of the longest chain of nodes, else the last
    one listed. The first of several images of that node is the result. Previews do not count.
    """
    saved = {node: files for node, output in outputs.items() if (files := list(_saved(output)))}
    if not saved:
        return None
    chosen = _chosen(graph, saved)
    others = [file for node, files in saved.items() if node != chosen for file in files]
    first, *rest = saved[chosen]
    return Result(chosen, first, (*rest, *others))


def result_node(graph: Graph) -> str | None:
    """Predict the node that saves the result from the graph. Return None for an empty graph.

    The rules are those of `result_of`. If no node looks like a saving node, the final nodes are used.
    """
    nodes = dict(_nodes(graph))
    used = {source for inputs in nodes.values() for source in _sources(graph, inputs)}
    candidates = saving_nodes(graph) or [node for node in nodes if node not in used]
    return _chosen(graph, candidates) if candidates else None


def saving_nodes(graph: Graph) -> list[str]:
    """Return the nodes that probably save images, in the order of the graph."""
    return [node for node, _ in _nodes(graph) if _saves(graph, node)]


def cycle_in(graph: Graph) -> list[str]:
    """Return the nodes of a cycle, with the first one repeated at the end. Empty if there is none."""
    try:
        TopologicalSorter({node: list(_sources(graph, inputs)) for node, inputs in _nodes(graph)}).prepare()
    except CycleError as error:
        return [str(node) for node in error.args[1]]
    return []


def text_of(graph: Graph, value: object) -> str | None:
    """Return the text of an input, following links through nodes that only hold a value."""
    found = _held(graph, value, TEXT_INPUTS)
    return found if isinstance(found, str) else None


def nodes_of_result(graph: Graph) -> dict[str, Mapping[str, Any]]:
    """Return the inputs of the nodes that produce the result, the saving node first."""
    nodes, found = dict(_nodes(graph)), dict[str, Mapping[str, Any]]()
    last = result_node(graph)
    waiting = [last] if last is not None else []
    while waiting:
        node = waiting.pop()
        if node not in found and node in nodes:
            found[node] = nodes[node]
            waiting += _sources(graph, nodes[node])
    return found


def depths(graph: Graph) -> dict[str, int]:
    """Return the length of the longest chain before each node. Nodes behind a cycle are left out."""
    sources = {node: list(_sources(graph, inputs)) for node, inputs in _nodes(graph)}
    depth: dict[str, int] = {}
    sorter = TopologicalSorter(sources)
    with suppress(CycleError):
        sorter.prepare()
    while ready := sorter.get_ready():
        for node in ready:
            depth[node] = max((depth[source] + 1 for source in sources.get(node, ())), default=0)
        sorter.done(*ready)
    return depth


def placeholders_of(graph: Graph) -> frozenset[str]:
    """Return the placeholders that influence the result. Those in file names do not."""
    return frozenset(
        name
        for node, inputs in nodes_of_result(graph).items()
        if not _saves(graph, node)
        for value in inputs.values()
        for name in PLACEHOLDER.findall(str(value))
    )


def seed_of(graph: Graph, given: int) -> int | None:
    """Return the seed of the result: the given one if a placeholder uses it, else the graph's own.

    Return None if it cannot be determined: there are several seeds, or a node computes it.
    """
    seeds = {
        _number(graph, value, given)
        for inputs in nodes_of_result(graph).values()
        for name, value in inputs.items()
        if name in SEED_INPUTS
    }
    return seeds.pop() if len(seeds) == 1 else None


def _number(graph: Graph, value: object, given: int) -> int | None:
    """Return the number of an input, following links through nodes that only hold a value."""
    value = _held(graph, value, VALUE_INPUTS)
    if isinstance(value, str):
        value = value.replace("{{seed}}", str(given))
        is_number = value.isascii() and value.isdigit() and len(value) <= 20
        value = int(value) if is_number else None  # as the server parses it
    is_seed = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEEDS
    return value if is_seed and isinstance(value, int) else None


def _held(graph: Graph, value: object, names: Collection[str]) -> object:
    """Return the value of an input at the end of its links, or None if a node computes it."""
    passed: set[str] = set()
    while (node := _link(value)) is not None and node not in passed:
        passed.add(node)
        source = graph.get(node)
        inputs = source.get("inputs") if isinstance(source, dict) else None
        only = list(inputs.items()) if isinstance(inputs, dict) else []
        value = only[0][1] if len(only) == 1 and only[0][0] in names else None
    return value


def batch_of(graph: Graph) -> int:
    """Return the batch size of a run, as far as the graph determines it."""
    sizes = [_number(graph, inputs.get(BATCH), 0) or 1 for inputs in nodes_of_result(graph).values()]
    return max(sizes, default=1)


def _chosen(graph: Graph, nodes: Collection[str]) -> str:
    """Return the node whose file is the result. An expanded node has the position of its original."""
    home = {node: node if node in graph else node.partition(".")[0] for node in nodes}
    named = [node for node in nodes if _title(graph, home[node]) == RESULT_TITLE]
    depth, place = depths(graph), {node: at for at, node in enumerate(graph)}
    return max(named or nodes, key=lambda node: (depth.get(home[node], 0), place.get(home[node], -1)))


def _saves(graph: Graph, node: str) -> bool:
    """Return whether a node probably saves images. The graph does not state it."""
    kind = str(graph[node].get("class_type", "")).casefold()
    if "preview" in kind:
        return False
    return "save" in kind or PREFIX in graph[node]["inputs"] or _title(graph, node) == RESULT_TITLE


def _saved(output: object) -> Iterator[File]:
    images = output.get("images") if isinstance(output, dict) else None
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict) and image.get("type") == "output":
            yield {key: str(image.get(key, "")) for key in ("filename", "subfolder", "type")}


def _title(graph: Graph, node: str) -> str:
    found = graph.get(node)
    meta = found.get("_meta") if isinstance(found, dict) else None
    return str(meta.get("title", "")).strip().casefold() if isinstance(meta, dict) else ""


def _nodes(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    for node, found in graph.items():
        if isinstance(found, dict) and isinstance(inputs := found.get("inputs"), dict):
            yield node, inputs


def _sources(graph: Graph, inputs: Mapping[str, Any]) -> Iterator[str]:
    for value in inputs.values():
        source = _link(value)
        if source is not None and source in graph:
            yield source


def _link(value: object) -> str | None:
    """Return the node of a link such as `["4", 0]`, or None."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    return value[0] if is_link and isinstance(value, list) else None
