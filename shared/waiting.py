"""Wait for a server at start-up, and between retries."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from shared.errors import StartupError

T = TypeVar("T")
Report = Callable[[str, str | None], None]
"""Takes the name of a server and the reason for waiting, or None once it answers."""
log = structlog.get_logger()


def backoff(first: float, most: float, factor: float = 2.0) -> Iterator[float]:
    """Yield pauses in seconds without end, growing to `most`, with jitter between half and all of each."""
    pause = first
    while True:
        yield random.uniform(pause / 2, pause)
        pause = min(most, pause * factor)


def unreported(what: str, why: str | None) -> None:
    """Ignore the report."""


async def wait_until_up(
    what: str,
    address: str,
    connect: Callable[[], Awaitable[T]],
    *,
    seconds: float,
    report: Report = unreported,
) -> T:
    """Call `connect` until it succeeds, and report the wait meanwhile.

    Raises:
        StartupError: after `seconds`, naming the server, its address and the last error.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    report(what, f"waiting for {what} at {address}")
    for pause in backoff(0.1, 2.0):
        try:
            connected = await asyncio.wait_for(connect(), max(1.0, deadline - loop.time()))
            report(what, None)
            return connected
        except StartupError:
            raise
        except Exception as error:
            if loop.time() + pause > deadline:
                raise StartupError(
                    f"{what} at {address} does not answer after {seconds:g} s: "
                    f"{type(error).__name__}: {error}. Is it running, and is the address right?"
                ) from error
            report(what, f"waiting for {what} at {address}: {type(error).__name__}: {error}")
            log.info("waiting_for_server", server=what, address=address, error=str(error))
        await asyncio.sleep(pause)
    raise AssertionError("backoff is endless")
