"""Where the servers are: what options or the environment say, else the local stack that runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.state import StateFolder
from services.cli.errors import NoStack

Server = Literal["api", "notifier", "kafka"]


@dataclass(frozen=True)
class Addresses:
    """`given` wins; `state` is the folder of the local stack."""

    given: Mapping[Server, str | None]
    state: Path

    def of(self, server: Server) -> str:
        """The address of a server.

        Raises:
            NoStack: when it is not given and no stack is running.
        """
        if address := self.given.get(server):
            return address.rstrip("/")
        folder = StateFolder(self.state)
        state = folder.read()
        running = folder.holder() is not None
        if not running or state.phase != "ready" or server not in state.addresses:
            raise NoStack(server, state.phase if running else "stopped")
        return state.addresses[server]
