"""`comfyui_nodes.json` as node classes: what each takes, within which bounds, and gives."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

TABLE: Final = json.loads(Path(__file__).with_suffix(".json").read_text())
MODEL_FILES: Final[dict[str, list[str]]] = TABLE["models"]
ENDINGS: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
LONGEST_LIST: Final = 20
"""A list of more choices is not shown in an error."""


@dataclass(frozen=True)
class Input:
    """`kind` is a type such as INT or IMAGE; a choice has kind COMBO and its values."""

    name: str
    kind: str
    options: dict[str, Any]
    required: bool
    choices: tuple[Any, ...] | None = None
    source: str | None = None
    """`models` and `files` are choices that the server reads from its disk."""
    folder: str | None = None
    """Of model files."""

    @property
    def config(self) -> list[Any]:
        return [self.kind if self.choices is None else list(self.choices), self.options]

    def offers(self, value: Any) -> bool:
        return self.choices is None or value in self.choices


@dataclass(frozen=True)
class NodeClass:
    name: str
    inputs: tuple[Input, ...]
    returns: tuple[str, ...]
    is_output: bool

    def describe(self) -> dict[str, Any]:
        """The entry of `GET /object_info`."""
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
