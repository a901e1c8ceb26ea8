"""Entry point of every service: settings, logs, traces, an event loop."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from shared.errors import StartupError
from shared.observability.logs import configure_logs
from shared.observability.tracing import configure_tracing
from shared.settings import KafkaSettings, ProcessSettings, read_settings


def main(service: str, serve: Callable[[KafkaSettings, ProcessSettings], Awaitable[None]]) -> None:
    """Run a service. A start that fails is one clear line and exit code 1."""
    try:
        process = read_settings(ProcessSettings)
        configure_logs(service, process)
        configure_tracing(service, process)
        kafka = read_settings(KafkaSettings)

        async def entry() -> None:
            await serve(kafka, process)

        _run(entry())
    except StartupError as error:
        sys.stderr.write(f"{service}: {error}\n")
        sys.exit(1)


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
