"""Servers and identity of a command, from the options before its name."""

from dataclasses import dataclass

import typer

from clients.cli.addresses import Addresses, Server
from clients.cli.errors import WrongInput
from imagegen_client import Client


@dataclass(frozen=True)
class Connection:
    """Values of the options that `imagegen --help` lists above the commands."""

    addresses: Addresses
    tenant: str
    user: str
    patience_seconds: float

    def client(self, *servers: Server) -> Client:
        """Return an HTTP client that knows these servers.

        Raises:
            WrongInput: when an address is not an HTTP URL.
            NoStack: when an address is not given and no local stack runs.
            StackNotReady: when the local stack is starting or stopping.
        """
        urls = {server: self.addresses.of(server) for server in servers}
        try:
            return Client(
                tenant=self.tenant,
                user=self.user,
                api_url=urls.get("api"),
                notifier_url=urls.get("notifier"),
                patience_seconds=self.patience_seconds,
            )
        except ValueError as error:
            name, _, reason = str(error).partition(": ")
            raise WrongInput(f"--{name.replace('_', '-')}: {reason}") from None


def connection_of(ctx: typer.Context) -> Connection:
    """Return the connection of this command."""
    found: Connection = ctx.obj
    return found
