"""Hints that a provider streams: poll an attempt now, publish its progress at most twice a second."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from services.gateways.kit.provider import ProgressHint, StatusUnavailable, StreamsProgress
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.scheduling.engine import Engine
from shared.loops import FAILING_SECONDS, Loop, every, watching

log = structlog.get_logger()

PUBLISH_SECONDS = 0.5
FIRST_PAUSE = 0.25
MAX_PAUSE = 10.0
OPEN_SECONDS = 2 * FAILING_SECONDS
"""A stream that has been open for this long works, although it brings nothing. Opening one fails earlier."""

PublishProgress = Callable[[Attempt, int], Awaitable[None]]


class StreamEnded(Exception):
    """A stream of hints ended soon after it was opened and brought nothing."""


class ProgressStream:
    """Two loops: one listens and never waits for Kafka, the other publishes progress.

    Args:
        on_lost: called when a stream has ended, because hints may have been missed.
    """

    def __init__(
        self,
        provider: StreamsProgress,
        engine: Engine,
        publish_progress: PublishProgress,
        on_lost: Callable[[], None],
    ) -> None:
        self._provider = provider
        self._engine = engine
        self._publish_progress = publish_progress
        self._on_lost = on_lost
        self._percents: dict[str, int] = {}

    async def listen(self) -> None:
        """Read hints until cancelled. While streams fail, which health shows, polling continues."""
        pause = FIRST_PAUSE
        with watching("progress stream", math.inf, vital=False) as loop:
            while True:
                try:
                    if await self._read(loop):
                        pause = FIRST_PAUSE
                    self._on_lost()
                except StatusUnavailable as unavailable:
                    loop.failed(unavailable)
                except Exception as error:
                    if loop.failed(error):
                        log.exception("progress_stream_failed")
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(MAX_PAUSE, 2 * pause)

    async def _read(self, loop: Loop) -> bool:
        """Read one stream to its end; return whether it brought a hint."""
        # A stream may be quiet for hours: it works when it has been open for a while.
        opened, received = asyncio.get_running_loop().time(), False
        works = asyncio.get_running_loop().call_later(OPEN_SECONDS, loop.succeeded)
        try:
            async with aclosing(self._provider.progress_hints()) as hints:
                async for hint in hints:
                    if not received:
                        received = True
                        loop.succeeded()
                    self._receive(hint)
        finally:
            works.cancel()
        lasted = asyncio.get_running_loop().time() - opened
        if not received and lasted < OPEN_SECONDS:
            loop.failed(StreamEnded(f"the stream ended after {lasted:.1f} s without a hint"))
        log.info("progress_stream_ended", seconds=round(lasted, 1))
        return received

    def _receive(self, hint: ProgressHint) -> None:
        attempt = self._engine.by_external_id(hint.id)
        if attempt is None:
            return
        if hint.percent is None or attempt.state == "unknown":
            self._engine.poll_now(attempt.id)
        if hint.percent is None:
            self._percents.pop(hint.id, None)
        else:
            self._percents[hint.id] = hint.percent

    async def publish(self) -> None:
        """Publish the latest progress of each attempt, until cancelled."""
        await every(PUBLISH_SECONDS, self._publish, name="progress")

    async def _publish(self) -> None:
        percents, self._percents = self._percents, {}
        for external_id, percent in percents.items():
            attempt = self._engine.by_external_id(external_id)
            if attempt is not None:
                await self._publish_progress(attempt, percent)
