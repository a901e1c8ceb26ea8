"""Read a graph as a picture: the prompt, seed, size, references and LoRA behind an output."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

from deploy.simulators.comfyui_validation import Graph
from deploy.simulators.drawing import PictureSpec
from deploy.simulators.loras import lora_in

TEXTS: Final = ("text", "t5xxl", "text_g", "clip_l", "value")
CONDITIONING: Final = ("positive", "conditioning", "conditioning_1", "guider")
READERS: Final = ("LoadImage", "LoadImageMask")
DEFAULT_SIDE: Final = 512
BLACK: Final = 0x000000


@dataclass(frozen=True)
class Picture:
    spec: PictureSpec
    flat_colour: int | None = None
    """Colour of a plain picture: from EmptyImage without a sampler, or black after a non-finite number."""


def read_picture(
    graph: Graph, output: str, read: Callable[[str], bytes], lora_dir: Path | None = None
) -> Picture:
    """Return the picture of an output. Nodes nearer to the output win: an ImageScale overrides the latent
    size."""
    nodes = [graph[node_id] for node_id in ancestors(graph, output)]
    inputs = [node.get("inputs", {}) for node in nodes]
    prompt = positive_prompt(graph, output)
    width, height = _size(inputs)
    loras = [str(entry["lora_name"]) for entry in inputs if "lora_name" in entry]
    names = [node["inputs"]["image"] for node in nodes if node["class_type"] in READERS]
    seeds = (entry.get("seed", entry.get("noise_seed")) for entry in inputs)
    seed = next((value for value in seeds if isinstance(value, int)), 0)
    colours = [node["inputs"]["color"] for node in nodes if node["class_type"] == "EmptyImage"]
    lora = lora_in(lora_dir, loras[0]) if loras else None
    spec = PictureSpec(
        prompt or graph[output]["class_type"],
        seed,
        width,
        height,
        tuple(read(str(name)) for name in names),
        lora.label if lora else None,
        identity=lora.identity if lora else None,
    )
    if any(isinstance(value, float) and not isfinite(value) for entry in inputs for value in entry.values()):
        return Picture(spec, BLACK)
    is_flat = bool(colours) and not prompt and not names
    return Picture(spec, int(colours[0]) if is_flat else None)


def batch_of(graph: Graph, output: str) -> int:
    """Return the number of pictures of an output."""
    sizes = (graph[node].get("inputs", {}).get("batch_size") for node in ancestors(graph, output))
    return next((size for size in sizes if isinstance(size, int)), 1)


def ancestors(graph: Graph, start: str) -> Iterator[str]:
    """Yield the node and all its ancestors, nearest first."""
    queue, seen = [start], {start}
    while queue:
        node_id = queue.pop(0)
        yield node_id
        for value in graph[node_id].get("inputs", {}).values():
            source = linked(value)
            if source is not None and source in graph and source not in seen:
                seen.add(source)
                queue.append(source)


def linked(value: Any) -> str | None:
    """Return the node that a link points to, or None for other values."""
    return value[0] if isinstance(value, list) and len(value) == 2 else None


def positive_prompt(graph: Graph, output: str) -> str:
    for node_id in ancestors(graph, output):
        for name in CONDITIONING:
            source = linked(graph[node_id].get("inputs", {}).get(name))
            if source is not None:
                text = _text_before(graph, source)
                if text:
                    return text
    return ""


def _text_before(graph: Graph, start: str) -> str:
    for node_id in _conditioning_path(graph, start):
        inputs = graph[node_id].get("inputs", {})
        for name in TEXTS:
            value = inputs.get(name)
            if isinstance(value, str) and value:
                return value
            source = linked(value)
            if source is not None:
                return _text_before(graph, source)
    return ""


def _conditioning_path(graph: Graph, start: str) -> Iterator[str]:
    """Follow conditioning links only; other links lead to models and to the negative prompt."""
    node_id: str | None = start
    seen: set[str] = set()
    while node_id is not None and node_id in graph and node_id not in seen:
        yield node_id
        seen.add(node_id)
        inputs = graph[node_id].get("inputs", {})
        sources = (linked(inputs.get(name)) for name in CONDITIONING)
        node_id = next((source for source in sources if source is not None), None)


def _size(inputs: list[dict[str, Any]]) -> tuple[int, int]:
    for entry in inputs:
        width, height = entry.get("width"), entry.get("height")
        if isinstance(width, int) and isinstance(height, int) and width and height:
            return width, height
    return DEFAULT_SIDE, DEFAULT_SIDE
