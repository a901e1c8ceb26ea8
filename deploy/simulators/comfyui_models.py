"""The model files of a server: built-in names, and for LoRAs also the files in a folder."""

from dataclasses import replace
from pathlib import Path

from deploy.simulators.comfyui_nodes import ENDINGS, MODEL_FILES, Input, NodeClass

LORAS = "loras"


class Models:
    """Lists of model files. The LoRA folder is read on each call, so that a new file appears at once."""

    def __init__(self, lora_dir: Path | None = None) -> None:
        self.lora_dir = lora_dir

    def folders(self) -> list[str]:
        return list(MODEL_FILES)

    def files(self, folder: str) -> list[str] | None:
        """Return the files of a folder, or None if there is no such folder."""
        built_in = MODEL_FILES.get(folder)
        if built_in is None or folder != LORAS or self.lora_dir is None:
            return built_in
        found = (path.name for path in self.lora_dir.glob("*") if path.name.endswith(ENDINGS))
        return [*built_in, *sorted(found)]

    def with_current_choices(self, item: Input) -> Input:
        """Return the input with its current choices."""
        if item.folder != LORAS:
            return item
        return replace(item, choices=tuple(self.files(LORAS) or ()))

    def describe(self, node: NodeClass) -> dict[str, object]:
        """Return the entry of `GET /object_info`."""
        return replace(node, inputs=tuple(self.with_current_choices(item) for item in node.inputs)).describe()
