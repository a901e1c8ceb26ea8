"""Unix sockets that a killed server leaves in the file system."""

import socket
from collections.abc import Iterable
from pathlib import Path


def remove_dead_sockets(paths: Iterable[Path]) -> None:
    """Remove the socket files on which no process listens."""
    for path in paths:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue
