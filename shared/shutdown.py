"""The orderly end of a process, within the time that orchestrators give it."""

import asyncio
import os
import signal
import threading
from collections.abc import Sequence

import structlog

log = structlog.get_logger()

STOP_SECONDS = 9.0
"""Limit from the signal to the end of the process. Orchestrators kill it after ten."""
DRAIN_SECONDS = 4.5
"""Limit for batches in hand, HTTP requests and background loops, all at once."""
LEAVE_SECONDS = 1.0
"""Limit for leaving the groups after that; the broker notices later by itself."""


def stop_on_signal(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM or SIGINT, and end the process if the orderly end takes too long."""

    def end() -> None:
        stop.set()
        _exit_after(STOP_SECONDS)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)


def _exit_after(seconds: float) -> None:
    """Exit as after a crash, which loses nothing: a thread that waits for a server cannot be cancelled."""

    def end() -> None:
        log.warning("stop_cut_short", seconds=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def cancel_all(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Cancel tasks, and cancel again those that take longer to end."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
