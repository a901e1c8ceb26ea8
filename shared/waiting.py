"""Waiting with a bound: for a server at start-up, and between tries."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from shared.errors import StartupError

T = TypeVar("T")
log = structlog.get_logger()


def backoff(first: float, most: float, factor: float = 2.0) -> Iterator[float]:
    """Endless pauses in seconds, growing to `most`, each with full jitter above half."""
    pause = first
    while True:
        yield random.uniform(pause / 2, pause)
        pause = min(most, pause * factor)


async def wait_until_up(what: str, address: str, connect: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """Call `connect` until it succeeds.

    Raises:
        StartupError: after `seconds`, naming the server, its address and the last error.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    for pause in backoff(0.1, 2.0):
        try:
            return await asyncio.wait_for(connect(), max(1.0, deadline - loop.time()))
        except StartupError:
            raise
        except Exception as error:
            if loop.time() + pause > deadline:
                raise StartupError(
                    f"{what} at {address} does not answer after {seconds:g} s: "
                    f"{type(error).__name__}: {error}. Is it running, and is the address right?"
                ) from error
            log.info("waiting_for_server", server=what, address=address, error=str(error))
        await asyncio.sleep(pause)
    raise AssertionError("backoff is endless")
