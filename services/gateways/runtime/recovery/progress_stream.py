"""A provider's hints → the next poll of an attempt now, its progress at most twice a second."""

import asyncio
import math
import random
from contextlib import aclosing

import structlog

from services.gateways.kit.provider import ProgressHint, StatusUnavailable, StreamsProgress
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.scheduling.engine import Engine
from shared.loops import FAILING_SECONDS, Loop, every, watching

log = structlog.get_logger()

TELL_SECONDS = 0.5
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
WORKS_SECONDS = 2 * FAILING_SECONDS
"""A stream that is open for this long works, although it brings nothing. Opening one must fail earlier."""


class StreamEnded(Exception):
    """A stream of hints ended soon after it was opened and brought nothing."""


class ProgressStream:
    """Two loops: one listens and never waits for anybody, the other tells progress."""

    def __init__(self, provider: StreamsProgress, engine: Engine, gateway: Gateway) -> None:
        self._provider = provider
        self._engine = engine
        self._gateway = gateway
        self._percents: dict[str, int] = {}

    async def listen(self) -> None:
        """Read hints for ever. While they fail, which health shows, polling goes on without them."""
        pause = FIRST_PAUSE
        with watching("hints", math.inf, vital=False) as loop:
            while True:
                try:
                    if await self._read(loop):
                        pause = FIRST_PAUSE
                    self._engine.poll_all_now()
                except StatusUnavailable as silence:
                    loop.failed(silence)
                except Exception as error:
                    if loop.failed(error):
                        log.exception("hints_failed")
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(LONGEST_PAUSE, 2 * pause)

    async def _read(self, loop: Loop) -> bool:
        """Read one stream to its end. Return whether it brought a hint."""
        # A stream may be quiet for hours: it works when it has been open for a while.
        opened, heard = asyncio.get_running_loop().time(), False
        works = asyncio.get_running_loop().call_later(WORKS_SECONDS, loop.succeeded)
        try:
            async with aclosing(self._provider.progress_hints()) as hints:
                async for hint in hints:
                    if not heard:
                        heard = True
                        loop.succeeded()
                    self._heed(hint)
        finally:
            works.cancel()
        lasted = asyncio.get_running_loop().time() - opened
        if not heard and lasted < WORKS_SECONDS:
            loop.failed(StreamEnded(f"the stream ended after {lasted:.1f} s without a hint"))
        log.info("hints_lost", seconds=round(lasted, 1))
        return heard

    def _heed(self, hint: ProgressHint) -> None:
        attempt = self._engine.by_external_id(hint.id)
        if attempt is None:
            return
        if hint.percent is None or attempt.state == "unknown":
            self._engine.poll_now(attempt.id)
        if hint.percent is None:
            self._percents.pop(hint.id, None)
        else:
            self._percents[hint.id] = hint.percent

    async def tell(self) -> None:
        """Report how far things are, the newest word on each."""
        await every(TELL_SECONDS, self._tell, name="progress")

    async def _tell(self) -> None:
        percents, self._percents = self._percents, {}
        for external_id, percent in percents.items():
            attempt = self._engine.by_external_id(external_id)
            if attempt is not None:
                await self._gateway.hinted(attempt, percent)
