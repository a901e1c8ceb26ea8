"""Check the folders that a command writes to before it makes a request that costs money."""

import os
import tempfile
from pathlib import Path

from clients.cli.errors import WrongInput


def folder_named(given: str | Path) -> Path:
    """Read the name of a folder from the command line; an empty one would be the current folder.

    Raises:
        ValueError: if it is empty.
    """
    if not str(given).strip():
        raise ValueError("must name a folder; write . for the current one")
    return Path(given)


def check_folder(folder: Path | None, option: str = "--out") -> None:
    """Create a folder and write a temporary file to it. None is accepted.

    Raises:
        WrongInput: with the option, the folder and the reason.
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
    """Return the reason for which a folder cannot be written to."""
    if file := blocking_file(folder):
        return "is a file, not a folder" if file == folder else f"{file} is a file, not a folder"
    return f"cannot be written to ({error.strerror or os.strerror(error.errno or 0)})"


def blocking_file(folder: Path) -> Path | None:
    """Return the part of a folder's path that is a file, if there is one."""
    parts = (folder, *folder.parents)
    return next((path for path in parts if os.path.exists(path) and not os.path.isdir(path)), None)
