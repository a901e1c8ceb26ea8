"""The folder of a run: emptied only where an earlier run made it."""

import shutil
from pathlib import Path
from typing import Final

MARKER: Final = ".imagegen-bench"
"""A file in every folder that the benchmark made."""


class NotOurs(Exception):
    """The folder holds something else; the text says what to do."""


def prepare(folder: Path) -> None:
    """Create the folder, or empty the one of an earlier run.

    Raises:
        NotOurs: when it is a file, a link, or holds files and was not made by the benchmark.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise NotOurs(f"--out {folder}: is not a folder; choose another one")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise NotOurs(
            f"--out {folder}: is not empty and was not made by the benchmark; "
            "choose another folder or remove it yourself"
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
