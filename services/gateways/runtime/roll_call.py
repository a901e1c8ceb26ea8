"""Which of very many are still there → the next poll of those that are not, now; of the others, rarely.

One question for all of them costs less than a poll of each. A list is no truth: `poll` is.
"""

import asyncio

from services.gateways.runtime.engine import Engine
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.provider import Listing, NoAnswer, Pace
from shared.errors import TransientError
from shared.loops import every

PATIENCE = 5.0
"""Seconds for a list. Beyond it those that are gone wait for their polls."""


class ListUnavailable(TransientError):
    """The provider did not list what it has in hand."""


class RollCall:
    """For a provider that lists what it has in hand and does not speak by itself."""

    def __init__(self, provider: Listing, engine: Engine, gateway: Gateway, pace: Pace) -> None:
        self._provider = provider
        self._engine = engine
        self._gateway = gateway
        self._pace = pace
        self._called = False

    async def run(self) -> None:
        """Call as often as one attempt is polled. With no list, which health shows, the next polls are
        paced as ever.
        """
        await asyncio.sleep(self._pace.slowest_poll)
        await every(self._pace.slowest_poll, self._try, name="roll call", survives=True, vital=False)

    async def _try(self) -> None:
        pause = 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                pause = await self.call()
        except NoAnswer as silence:
            raise ListUnavailable(str(silence)) from silence
        finally:
            self._gateway.rarest_poll = pause

    async def call(self) -> float:
        """Hurry those that are not there; returns how rarely the others may be polled, in seconds.

        Raises:
            NoAnswer: the provider did not tell.
        """
        pause = self._engine.in_flight / self._pace.polls_per_second
        if pause <= self._pace.slowest_poll:
            self._dismiss()
            return 0.0
        sent = self._engine.sent()
        called = map(self._engine.called, await self._provider.unfinished())
        there = {attempt.id for attempt in called if attempt}
        self._called = True
        for attempt in sent:
            missed_before = attempt.missing_since is not None  # it is looked for at a pace of its own
            if attempt.id not in there and not missed_before:
                self._engine.hurry(attempt.id)
        return pause

    def _dismiss(self) -> None:
        """They are few again: those whose next poll is far off have it now."""
        if self._called:
            self._engine.hurry_all()
        self._called = False
