"""Node classes from `comfyui_nodes.json`, with their inputs, bounds and outputs."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

TABLE: Final = json.loads(Path(__file__).with_suffix(".json").read_text())
MODEL_FILES: Final[dict[str, list[str]]] = TABLE["models"]
ENDINGS: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
MAX_LISTED_CHOICES: Final = 20
"""Number of choices above which an error does not list them."""


@dataclass(frozen=True)
class Input:
    """One input of a node class. `kind` is a type such as INT or IMAGE, or COMBO with a list of choices."""

    name: str
    kind: str
    options: dict[str, Any]
    required: bool
    choices: tuple[Any, ...] | None = None
    source: str | None = None
    """Source of the choices on the server's disk: `models` or `files`; None for fixed choices."""
    folder: str | None = None
    """Folder of the model files."""

    @property
    def config(self) -> list[Any]:
        return [self.kind if self.choices is None else list(self.choices), self.options]

    def allows(self, value: Any) -> bool:
        return self.choices is None or value in self.choices


@dataclass(frozen=True)
class NodeClass:
    name: str
    inputs: tuple[Input, ...]
    returns: tuple[str, ...]
    is_output: bool

    def describe(self) -> dict[str, Any]:
        """Return the entry of `GET /object_info`."""
        groups: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
        for item in self.inputs:
            groups["required" if item.required else "optional"][item.name] = item.config
        return {
            "input": groups,
            "input_order": {group: list(entries) for group, entries in groups.items()},
            "output": list(self.returns),
            "output_is_list": [False] * len(self.returns),
            "output_name": list(self.returns),
            "name": self.name,
            "display_name": self.name,
            "description": "",
            "python_module": "nodes",
            "category": "simulated",
            "output_node": self.is_output,
        }


@cache
def node_classes() -> dict[str, NodeClass]:
    return {name: _node_class(name, entry) for name, entry in TABLE["nodes"].items()}


def _node_class(name: str, entry: dict[str, Any]) -> NodeClass:
    inputs = [
        _input(key, *config, required=group == "required")
        for group in ("required", "optional")
        for key, config in entry[group].items()
    ]
    return NodeClass(name, tuple(inputs), tuple(entry["output"]), entry["output_node"])


def _input(name: str, kind: str | list[Any], options: dict[str, Any], *, required: bool) -> Input:
    if isinstance(kind, list):
        return Input(name, "COMBO", options, required, tuple(kind))
    source, _, folder = kind.partition(":")
    if source == "models":
        return Input(name, "COMBO", options, required, tuple(MODEL_FILES[folder]), "models", folder)
    if source == "files":
        return Input(name, "COMBO", options, required, (), "files")
    return Input(name, kind, options, required)
