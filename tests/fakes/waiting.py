"""Waiting for conditions that other tasks fulfil."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


async def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def background(loop: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Run an endless loop in the background; its failure fails the test."""

    async def run() -> None:
        await loop()

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
