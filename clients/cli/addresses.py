"""Addresses of the servers: from options or the environment, else from the running local stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clients.cli.errors import NoStack, StackNotReady, WrongInput
from clients.cli.output_folders import blocking_file
from deploy.local.state import StateFolder

Server = Literal["api", "notifier", "kafka"]
OPTIONS: dict[Server, str] = {"api": "--api-url", "notifier": "--notifier-url", "kafka": "--kafka"}


@dataclass(frozen=True)
class Addresses:
    """Given addresses take precedence; `state` is the state folder of the local stack."""

    given: Mapping[Server, str | None]
    state: Path

    def of(self, server: Server) -> str:
        """Return the address of a server.

        Raises:
            WrongInput: when the state folder is a file.
            NoStack: when the address is not given and no stack is running.
            StackNotReady: when the stack is starting or stopping.
        """
        if address := self.given.get(server):
            return address.rstrip("/")
        if blocking_file(self.state):
            raise WrongInput(f"--state {self.state}: is a file, not a folder")
        folder = StateFolder(self.state)
        state = folder.read()
        if folder.holder() is None:
            raise NoStack(OPTIONS[server])
        known = {**state.addresses, "kafka": state.environment.get("KAFKA_BOOTSTRAP")}
        address = known.get(server)
        if state.phase != "ready" or address is None:
            raise StackNotReady(state.phase)
        return address
