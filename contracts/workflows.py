"""Rules of a ComfyUI workflow that a caller brings: its holes, its result and its seed. Pure.

A workflow is a graph in API format: node id → `class_type`, `inputs` and perhaps `_meta`. It comes from
outside, so nothing in it is taken for granted. `contracts.requests.RequestBase` documents the rules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

HOLE: Final = re.compile(r"\{\{(\w+)\}\}")
RESULT_TITLE: Final = "result"
PREFIX: Final = "filename_prefix"
SEED_INPUTS: Final = ("seed", "noise_seed")
VALUE_INPUTS: Final = ("value", "int", "number", *SEED_INPUTS)
"""Inputs of nodes that do nothing but hold a number."""
SEEDS: Final = 2**64

Graph = Mapping[str, Any]
File = Mapping[str, Any]
"""`filename`, `subfolder` and `type`, as the server names a file."""


@dataclass(frozen=True, slots=True)
class Result:
    """The file of a run that is delivered, and those that are not."""

    node: str
    file: File
    dropped: tuple[File, ...] = ()


def result_of(graph: Graph, outputs: Mapping[str, Any]) -> Result | None:
    """Choose the result among what a run saved; None if it saved no image.

    A node titled `result` wins, else the node at the end of the longest chain of nodes, else the one
    that is listed last. Of several images of that node the first is the result. Previews do not count.
    """
    saved = {node: files for node, output in outputs.items() if (files := list(_saved(output)))}
    if not saved:
        return None
    named = [node for node in saved if _title(graph, node) == RESULT_TITLE]
    depth, place = depths(graph), {node: at for at, node in enumerate(graph)}
    chosen = max(named or saved, key=lambda node: (depth.get(node, 0), place.get(node, -1)))
    others = [file for node, files in saved.items() if node != chosen for file in files]
    first, *rest = saved[chosen]
    return Result(chosen, first, (*rest, *others))


def depths(graph: Graph) -> dict[str, int]:
    """Return how many nodes the longest chain before each node has; nothing for a graph with a cycle."""
    sources = {node: list(_sources(graph, inputs)) for node, inputs in _nodes(graph)}
    depth: dict[str, int] = {}
    try:
        for node in TopologicalSorter(sources).static_order():
            depth[node] = max((depth[source] + 1 for source in sources.get(node, ())), default=0)
    except CycleError:
        return {}
    return depth


def holes_of(graph: Graph) -> frozenset[str]:
    """Return the names of the holes that change the picture: those of a file's name do not."""
    return frozenset(
        hole
        for _, inputs in _nodes(graph)
        for name, value in inputs.items()
        if name != PREFIX
        for hole in HOLE.findall(str(value))
    )


def seed_of(graph: Graph, given: int) -> int | None:
    """Return the seed that a run uses: the given one through a hole, else the graph's own.

    None where that cannot be told: the graph has several seeds, or none that is written in it.
    """
    if "seed" in holes_of(graph):
        return given
    seeds = {
        _number(graph, value)
        for _, inputs in _nodes(graph)
        for name, value in inputs.items()
        if name in SEED_INPUTS
    }
    return seeds.pop() if len(seeds) == 1 else None


def _number(graph: Graph, value: object) -> int | None:
    """The number of a seed input, or of the node that it is linked to."""
    source = graph.get(_link(value) or "")
    inputs = source.get("inputs") if isinstance(source, dict) else None
    if isinstance(inputs, dict):
        value = next((inputs[name] for name in VALUE_INPUTS if name in inputs), None)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)  # the server reads it so
    is_seed = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEEDS
    return value if is_seed and isinstance(value, int) else None


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
    """The node that a link leads to: `["4", 0]`."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    return value[0] if is_link and isinstance(value, list) else None
