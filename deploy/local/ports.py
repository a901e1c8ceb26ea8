"""Free loopback ports, and the processes that listen on them."""

import os
import random
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, also with GRPC_OFFSET added.
PORTS = range(12_000, 22_000)
GRPC_OFFSET = 10_000
LISTENING = "0A"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Ports:
    """Assigns each port once: the name's fixed port, else its port of the previous start, else a free one."""

    def __init__(self, last_time: Mapping[str, int], fixed: Mapping[str, int] | None = None) -> None:
        self._last_time = dict(last_time)
        self._fixed = fixed or {}
        self.chosen: dict[str, int] = {}

    @property
    def moved(self) -> dict[str, int]:
        """The fixed ports that were occupied, by the names that have other ports now."""
        return {
            name: self._fixed[name]
            for name, port in self.chosen.items()
            if self._fixed.get(name, port) != port
        }

    def pick(self, name: str, *, with_grpc: bool = False) -> int:
        """Return a free port. With `with_grpc`, its companion GRPC_OFFSET above is free too."""
        remembered = self.chosen.pop(name, None) or self._last_time.pop(name, None)
        candidates = [port for port in (self._fixed.get(name), remembered) if port is not None]
        candidates += random.sample(PORTS, 100)
        for port in candidates:
            wanted = (port, port + GRPC_OFFSET) if with_grpc else (port,)
            if port not in self.chosen.values() and all(is_free(each) for each in wanted):
                self.chosen[name] = port
                return port
        raise OSError(f"no free port for {name} between {PORTS.start} and {PORTS.stop}")

    def keep(self, name: str) -> int:
        """Return the port of this name and choose a free one the first time."""
        return self.chosen.get(name) or self.pick(name)


def listens(pid: int, port: int) -> bool:
    """Return True if this very process listens on the port."""
    if sys.platform != "linux":
        return not is_free(port)
    wanted = {f"socket:[{inode}]" for inode in _listeners(port)}
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in wanted:
                    return True
    return False


def _listeners(port: int) -> list[str]:
    ending = f":{port:04X}"
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return [row[9] for row in rows if row[1].endswith(ending) and row[3] == LISTENING]
