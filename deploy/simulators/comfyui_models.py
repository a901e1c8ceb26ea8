"""The model files that a server has: built in, but for LoRAs, which it looks for in a folder."""

from dataclasses import replace
from pathlib import Path

from deploy.simulators.comfyui_nodes import ENDINGS, MODEL_FILES, Input, NodeClass

LORAS = "loras"


class Models:
    """Lists are read anew each time: a file that was just laid down is there."""

    def __init__(self, lora_dir: Path | None = None) -> None:
        self._lora_dir = lora_dir

    def folders(self) -> list[str]:
        return list(MODEL_FILES)

    def files(self, folder: str) -> list[str] | None:
        """None: there is no such folder."""
        built_in = MODEL_FILES.get(folder)
        if built_in is None or folder != LORAS or self._lora_dir is None:
            return built_in
        found = (path.name for path in self._lora_dir.glob("*") if path.name.endswith(ENDINGS))
        return [*built_in, *sorted(found)]

    def offered(self, item: Input) -> Input:
        """The input with the choices of this moment."""
        if item.folder != LORAS:
            return item
        return replace(item, choices=tuple(self.files(LORAS) or ()))

    def describe(self, node: NodeClass) -> dict[str, object]:
        """The entry of `GET /object_info`."""
        return replace(node, inputs=tuple(self.offered(item) for item in node.inputs)).describe()
