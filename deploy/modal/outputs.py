"""Output files: `{call_id}/{name}` on the outputs volume, `/outputs/{call_id}/{name}` over HTTP."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Final

from contracts.modal_app import ModalManifest, ModalOutput, ModalTrainingInput
from deploy.modal.failures import CallFailed

CALL_ID: Final = re.compile(r"fc-[A-Za-z0-9]+")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9]+")
TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
}
OTHER_TYPE: Final = "application/octet-stream"
LARGEST_HEADER: Final = 64 * 1024 * 1024


class NoSafetensors(CallFailed):
    """A LoRA file is not a valid safetensors file."""


def is_call_id(text: str) -> bool:
    return CALL_ID.fullmatch(text) is not None


def volume_path(call_id: str, name: str) -> str | None:
    """Return the path of a file on the volume; None for names that are never assigned, such as `..`."""
    return f"{call_id}/{name}" if is_call_id(call_id) and NAME.fullmatch(name) else None


def content_type(name: str) -> str:
    return TYPES.get(name.rpartition(".")[2].lower(), OTHER_TYPE)


class OutputFolder:
    """The mounted outputs volume, for the functions that write to it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(
        self, call_id: str, name: str, data: bytes, *, size: tuple[int, int] | None = None, nsfw: bool = False
    ) -> ModalOutput:
        path = self._place(call_id, name)
        path.write_bytes(data)
        width, height = size or (None, None)
        return ModalOutput(
            path=f"/outputs/{call_id}/{name}",
            content_type=content_type(name),
            width=width,
            height=height,
            nsfw=nsfw,
        )

    def save_lora(
        self, call_id: str, weights: Path, request: ModalTrainingInput, base_model: str
    ) -> tuple[ModalOutput, ModalManifest]:
        """Save trained weights and return their output and manifest. Raise `NoSafetensors` if they are not
        valid."""
        check_safetensors(weights)
        name = "lora.safetensors"
        kept = self._place(call_id, name)
        shutil.copyfile(weights, kept)
        path = f"/outputs/{call_id}/{name}"
        manifest = ModalManifest(
            path=path,
            sha256=sha256_of(kept),
            bytes=kept.stat().st_size,
            base_model=base_model,
            trigger_word=request.trigger_word,
            steps=request.steps,
            rank=request.rank,
        )
        return ModalOutput(path=path, content_type=content_type(name)), manifest

    def sweep(self, older_than: float) -> int:
        """Delete the folders of calls that were last changed before this time, and return their number."""
        old = [folder for folder in self._root.iterdir() if self._is_old(folder, older_than)]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return len(old)

    def _place(self, call_id: str, name: str) -> Path:
        relative = volume_path(call_id, name)
        if relative is None:
            raise ValueError(f"invalid name of an output: {call_id!r}, {name!r}")
        path = self._root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @staticmethod
    def _is_old(folder: Path, older_than: float) -> bool:
        return folder.is_dir() and is_call_id(folder.name) and folder.stat().st_mtime < older_than


def check_safetensors(path: Path) -> None:
    """Raise `NoSafetensors` unless the header is complete and its last offset is the end of the file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise NoSafetensors("the file has no safetensors header")
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NoSafetensors(f"the safetensors header cannot be read: {error}") from error
    if not ends or max(ends) != size - 8 - length:
        raise NoSafetensors("the safetensors file is not whole")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
