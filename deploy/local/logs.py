"""Log files of the processes."""

import os
from pathlib import Path

TAIL_LINES = 15
TAIL_BYTES = 8_000


def tail(log: Path) -> str:
    """Return the last lines of a log file."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])


def rotate(log: Path) -> None:
    """Rename the log of the previous run, if there is one, so that a new log begins."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
