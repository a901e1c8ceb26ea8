"""Workflows of nodes that need no model and no graphics card."""

import secrets
from typing import Any

from tests.unit.workflow_graphs import Graph, saving, scaled

BLURS = 12
"""Steps; each takes a processor about a second."""


def plain(*, batch_size: int = 1, colour: int | None = None) -> Graph:
    """Return the workflow of an image of one colour, by default a new one."""
    inputs = {"width": 64, "height": 48, "batch_size": batch_size, "color": _colour(colour)}
    return {"1": {"class_type": "EmptyImage", "inputs": inputs}, "2": saving("1", "imagegen-test/plain")}


def linked_prefix() -> Graph:
    """Return a workflow with the file prefix in another node, so that each run is the same graph."""
    prefix = {"class_type": "PrimitiveString", "inputs": {"value": "imagegen-test/linked"}}
    return plain() | {"2": saving("1", ["3", 0]), "3": prefix}


def two_pictures() -> Graph:
    """Return a workflow with a draft of 64x48 and a final image of 96x96, which is listed first."""
    graph = {"10": scaled("1"), "11": saving("10", "imagegen-test/final")} | plain()
    return graph | {"2": saving("1", "imagegen-test/draft"), "3": _preview("1")}


def invalid() -> Graph:
    """Return a workflow of an image that is too large for any server."""
    graph = plain()
    graph["1"]["inputs"]["width"] = 10**9
    return graph


def unreadable(name: str) -> Graph:
    """Return a workflow whose input file is not an image: it fails at run time."""
    load = {"class_type": "LoadImage", "inputs": {"image": name}}
    return {"1": load, "2": saving("1", "imagegen-test/unreadable")}


def slow(nodes: dict[str, Any]) -> Graph:
    """Return a workflow that runs for about ten seconds and can be interrupted."""
    inputs = {"width": 1024, "height": 1024, "batch_size": 1, "color": _colour(None)}
    graph: Graph = {"1": {"class_type": "EmptyImage", "inputs": inputs}}
    if "LabSlow" in nodes:  # a node of the simulator
        work = {"image": ["1", 0], "steps": 100, "delay_ms": 100, "preview": False}
        return graph | {
            "2": {"class_type": "LabSlow", "inputs": work},
            "3": saving("2", "imagegen-test/slow"),
        }
    for number in range(2, 2 + BLURS):
        work = {"image": [str(number - 1), 0], "blur_radius": 31, "sigma": 10.0}
        graph[str(number)] = {"class_type": "ImageBlur", "inputs": work}
    return graph | {"99": saving(str(1 + BLURS), "imagegen-test/slow")}


def _preview(source: str) -> Graph:
    return {"class_type": "PreviewImage", "inputs": {"images": [source, 0]}}


def _colour(colour: int | None) -> int:
    return secrets.randbelow(0xFFFFFF) if colour is None else colour
