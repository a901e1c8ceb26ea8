"""Whom every command speaks to, and as whom: the options before the command's name."""

from dataclasses import dataclass

import typer

from clients.cli.addresses import Addresses
from clients.cli.client import Client


@dataclass(frozen=True)
class Connection:
    """The options that `imagegen --help` lists above the commands."""

    addresses: Addresses
    tenant: str
    user: str
    patience_seconds: float


def connection_of(ctx: typer.Context) -> Connection:
    """The connection of this run."""
    found: Connection = ctx.obj
    return found


def client_of(ctx: typer.Context) -> Client:
    """An HTTP client for it."""
    connection = connection_of(ctx)
    return Client(
        connection.addresses,
        connection.tenant,
        connection.user,
        patience_seconds=connection.patience_seconds,
    )
