"""Which of very many are still there → the next poll of those that are not, now; of the others, rarely.

One question for all of them costs less than a poll of each. A list is no truth: `poll` is.
"""

import asyncio

import structlog

from services.gateways.runtime.engine import Engine
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.provider import Listing, NoAnswer, Pace

log = structlog.get_logger()


class RollCall:
    """For a provider that lists what it has in hand and does not speak by itself."""

    def __init__(self, provider: Listing, engine: Engine, gateway: Gateway, pace: Pace) -> None:
        self._provider = provider
        self._engine = engine
        self._gateway = gateway
        self._pace = pace

    async def run(self) -> None:
        """Call as often as an attempt is polled otherwise. Whatever goes wrong, polls are as ever."""
        while True:
            await asyncio.sleep(self._pace.slowest_poll)
            pause = 0.0
            try:
                pause = await self.call()
            except NoAnswer as silence:
                log.info("no_roll_call", error=str(silence))
            except Exception:
                log.exception("roll_call_failed")
            self._gateway.rarest_poll = pause

    async def call(self) -> float:
        """Hurry those that are not there; returns how rarely the others may be polled, in seconds.

        Raises:
            NoAnswer: the provider did not tell.
        """
        pause = self._engine.in_flight / self._pace.polls_per_second
        if pause <= self._pace.slowest_poll:
            return 0.0
        sent = {attempt.id for attempt in self._engine.sent()}
        there = map(self._engine.called, await self._provider.unfinished())
        for attempt_id in sent - {attempt.id for attempt in there if attempt}:
            self._engine.hurry(attempt_id)
        return pause
