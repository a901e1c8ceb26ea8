"""A stack for the demo alone: free ports, and a state folder below the demo's own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.errors import CommandFailed, NotInstalled
from shared.errors import StartupError

if TYPE_CHECKING:
    from deploy.local.stack import Stack


class StackBroken(CommandFailed):
    """The demo's stack did not start."""


@asynccontextmanager
async def demo_stack(folder: Path, latency_seconds: float) -> "AsyncIterator[Stack]":
    """Runs as long as the block.

    Raises:
        StackBroken: with the end of the log of what failed.
    """
    try:
        from deploy.local.apache_kafka.fetching import CannotFetchKafka
        from deploy.local.missing import MissingServer
        from deploy.local.processes import ProcessFailed
        from deploy.local.stack import Stack, StackOptions
        from deploy.local.state import AlreadyRunning
    except ModuleNotFoundError as missing:
        raise NotInstalled(missing.name) from None
    try:
        async with Stack(StackOptions(state=folder, latency_seconds=latency_seconds)) as stack:
            yield stack
    except (AlreadyRunning, CannotFetchKafka, MissingServer, ProcessFailed, StartupError) as error:
        raise StackBroken(str(error)) from None


def discard(folder: Path) -> None:
    """Remove what an earlier stack left in a folder, unless one runs there."""
    from deploy.local.state import StateFolder, clear_leftovers

    earlier = StateFolder(folder)
    if earlier.holder() is None:
        clear_leftovers(earlier.read())
        shutil.rmtree(folder, ignore_errors=True)
