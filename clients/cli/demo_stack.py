"""Local stack of the demo, on free ports and with a state folder of its own."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.errors import CommandFailed, NotInstalled
from shared.errors import StartupError
from shared.settings import read_settings

if TYPE_CHECKING:
    from deploy.local.brokers import ExternalBroker
    from deploy.local.stack import Stack


class StackNotStarted(CommandFailed):
    """The stack of the demo did not start."""


async def prepare_broker(report: Callable[[str], None]) -> "ExternalBroker":
    """Return the broker that KAFKA_BOOTSTRAP names; without one, install Kafka for the stack to start.

    Raises:
        StackNotStarted: when Kafka cannot be installed.
    """
    try:
        from deploy.local.apache_kafka.fetching import CannotFetchKafka
        from deploy.local.apache_kafka.install import install
        from deploy.local.brokers import ExternalBroker
        from deploy.local.missing import MissingServer
        from deploy.local.processes import ProcessFailed
    except ModuleNotFoundError as missing:
        raise NotInstalled(missing.name) from None
    try:
        outside = read_settings(ExternalBroker)
        if outside.bootstrap:
            report(f"Using the Kafka at {outside.bootstrap} (KAFKA_BOOTSTRAP); none is started.")
        else:
            await install(report)
    except (CannotFetchKafka, MissingServer, ProcessFailed, StartupError) as error:
        raise StackNotStarted(str(error)) from None
    return outside


@asynccontextmanager
async def demo_stack(
    folder: Path, latency_seconds: float, outside: "ExternalBroker"
) -> "AsyncIterator[Stack]":
    """Run a stack until the end of the block.

    Raises:
        StackNotStarted: with the end of the log of the process that failed.
    """
    from deploy.local.apache_kafka.fetching import CannotFetchKafka
    from deploy.local.missing import MissingServer
    from deploy.local.processes import ProcessFailed
    from deploy.local.stack import Stack, StackOptions
    from deploy.local.state import AlreadyRunning

    options = StackOptions(
        state=folder,
        latency_seconds=latency_seconds,
        bootstrap=outside.bootstrap,
        environment=outside.variables,
    )
    try:
        async with Stack(options) as stack:
            yield stack
    except (AlreadyRunning, CannotFetchKafka, MissingServer, ProcessFailed, StartupError) as error:
        raise StackNotStarted(str(error)) from None


def discard(folder: Path) -> None:
    """Remove the files of an earlier stack from a folder, unless one is running there."""
    from deploy.local.state import StateFolder, kill_leftovers

    earlier = StateFolder(folder)
    if earlier.holder() is None:
        kill_leftovers(earlier.read())
        shutil.rmtree(folder, ignore_errors=True)
