"""Folders that a command writes to, checked before it does anything that costs money."""

import os
import tempfile
from pathlib import Path

from clients.cli.errors import WrongInput


def check_folder(folder: Path | None, option: str = "--out") -> None:
    """Create a folder and try whether a file can be written there; None is nothing to check.

    Raises:
        WrongInput: naming the option, the folder and what is wrong with it.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WrongInput(f"{option} {folder}: {reason_of(error, folder)}") from None


def reason_of(error: OSError, folder: Path) -> str:
    """Return why a folder cannot be written to, in words."""
    if file := file_in_the_way(folder):
        return "is a file, not a folder" if file == folder else f"{file} is a file, not a folder"
    return f"cannot be written to ({error.strerror or os.strerror(error.errno or 0)})"


def file_in_the_way(folder: Path) -> Path | None:
    """Return the folder, or the part of its path, that is a file."""
    parts = (folder, *folder.parents)
    return next((path for path in parts if os.path.exists(path) and not os.path.isdir(path)), None)
