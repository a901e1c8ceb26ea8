"""The folder of a run, deleted only if an earlier run made it."""

import shutil
from pathlib import Path
from typing import Final

MARKER: Final = ".imagegen-bench"
"""Name of a marker file in every folder that the benchmark made."""


class ForeignFolder(Exception):
    """The folder has other content; the text says what to do."""


def prepare(folder: Path) -> None:
    """Create the folder, or empty the one of an earlier run.

    Raises:
        ForeignFolder: when it is a file or a link, or has files and was not made by the benchmark.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ForeignFolder(f"--out {folder}: is not a folder; choose another one")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ForeignFolder(
            f"--out {folder}: is not empty and was not made by the benchmark; "
            "choose another folder or remove it yourself"
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
