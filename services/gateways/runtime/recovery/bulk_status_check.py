"""Which of very many are still there → the next poll of those that are not, now; of the others, rarely.

One question for all of them costs less than a poll of each. A list is no truth: `poll` is.
"""

import asyncio

from services.gateways.kit.provider import ListsUnfinished, ProviderLimits, StatusUnavailable
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.scheduling.engine import Engine
from shared.errors import TransientError
from shared.loops import every

PATIENCE = 5.0
"""Seconds for a list. Beyond it those that are gone wait for their polls."""


class ListUnavailable(TransientError):
    """The provider did not list what it has in hand."""


class BulkStatusCheck:
    """For a provider that lists what it has in hand and does not speak by itself."""

    def __init__(
        self, provider: ListsUnfinished, engine: Engine, gateway: Gateway, limits: ProviderLimits
    ) -> None:
        self._provider = provider
        self._engine = engine
        self._gateway = gateway
        self._pace = limits
        self._called = False

    async def run(self) -> None:
        """Call as often as one attempt is polled. With no list, which health shows, the next polls are
        paced as ever.
        """
        await asyncio.sleep(self._pace.max_poll_interval)
        await every(self._pace.max_poll_interval, self._try, name="roll call", survives=True, vital=False)

    async def _try(self) -> None:
        pause = 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                pause = await self.call()
        except StatusUnavailable as silence:
            raise ListUnavailable(str(silence)) from silence
        finally:
            self._gateway.min_poll_interval = pause

    async def call(self) -> float:
        """Hurry those that are not there; returns how rarely the others may be polled, in seconds.

        Raises:
            StatusUnavailable: the provider did not tell.
        """
        pause = self._engine.in_flight / self._pace.polls_per_second
        if pause <= self._pace.max_poll_interval:
            self._dismiss()
            return 0.0
        sent = self._engine.sent()
        by_external_id = map(self._engine.by_external_id, await self._provider.unfinished())
        there = {attempt.id for attempt in by_external_id if attempt}
        self._called = True
        for attempt in sent:
            missed_before = attempt.not_found_since is not None  # it is looked for at a limits of its own
            if attempt.id not in there and not missed_before:
                self._engine.poll_now(attempt.id)
        return pause

    def _dismiss(self) -> None:
        """They are few again: those whose next poll is far off have it now."""
        if self._called:
            self._engine.poll_all_now()
        self._called = False
