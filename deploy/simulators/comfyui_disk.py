"""ComfyUI's three folders: uploads, results that survive a restart, and temporary previews."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from deploy.simulators.files import File, FileStore

FOLDERS: Final = ("input", "output", "temp")
ANNOTATED: Final = re.compile(r"(?P<name>.+) \[(?P<folder>input|output|temp)\]")


class PathEscape(ValueError):
    """A path that leads out of its folder."""


@dataclass(frozen=True)
class SavedFile:
    filename: str
    subfolder: str
    type: str

    @property
    def path(self) -> str:
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename

    def view(self) -> dict[str, Any]:
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}


class Disk:
    def __init__(self) -> None:
        self._stores = {
            "input": FileStore(space=None),
            "output": FileStore(),
            "temp": FileStore(),
        }
        self._counts: dict[tuple[str, str], int] = {}

    def read(self, folder: str, path: str) -> File | None:
        return self._stores[folder].get(path)

    def load(self, name: str) -> bytes:
        """Return the file that a LoadImage node names: `sub/name.png`, or `name.png [output]`."""
        file = self._find(name)
        if file is None:
            raise FileNotFoundError(name)
        return file.data

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def next_name(self, folder: str, prefix: str) -> SavedFile:
        """Return the next file name of a prefix. The counters survive a restart."""
        subfolder, _, stem = prefix.rpartition("/")
        count = self._counts.get((folder, prefix), 0) + 1
        self._counts[folder, prefix] = count
        return SavedFile(f"{stem}_{count:05}_.png", subfolder, folder)

    def save(self, saved: SavedFile, data: bytes) -> None:
        self._stores[saved.type].put(saved.path, data, "image/png")

    def upload(
        self, folder: str, subfolder: str, name: str, data: bytes, mime: str, *, overwrite: bool
    ) -> SavedFile:
        """Save an upload. Equal bytes under a name are one file; other bytes get another name."""
        if escapes(subfolder) or escapes(name):
            raise PathEscape(name)
        store, stem, ending = self._stores[folder], *_split(name)
        saved, tries = SavedFile(name, subfolder, folder), 0
        while not overwrite and (existing := store.get(saved.path)) is not None:
            if sha256(existing.data).digest() == sha256(data).digest():
                return saved
            tries += 1
            saved = SavedFile(f"{stem} ({tries}){ending}", subfolder, folder)
        store.put(saved.path, data, mime)
        return saved

    def clear_temp(self) -> None:
        self._stores["temp"].clear()

    def _find(self, name: str) -> File | None:
        found = ANNOTATED.fullmatch(name)
        if found is not None:
            return self.read(found["folder"], found["name"])
        return self.read("input", name)


def escapes(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def _split(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if dot else (name, "")
