"""Admission of submissions to the provider: its circuit breaker and its rate limit."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.gateways.runtime.scheduling.breaker import Breaker, Circuit
from services.gateways.runtime.scheduling.rate import Rate

log = structlog.get_logger()

Announce = Callable[[Circuit, str], Awaitable[None]]
"""Publishes a new state of the circuit and its reason."""


async def _announce_nothing(state: Circuit, reason: str) -> None:
    return None


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class SubmissionGate:
    """Guards the submissions of one process."""

    def __init__(
        self,
        breaker: Breaker | None = None,
        rate: Rate | None = None,
        announce: Announce = _announce_nothing,
        clock: Callable[[], float] = _loop_time,
    ) -> None:
        self.breaker = breaker or Breaker()
        self.rate = rate or Rate(None)
        self._announce_state = announce
        self._clock = clock
        self._announced: Circuit = "closed"

    def wait(self) -> float:
        """Return the seconds until a submission is admitted; 0 means now."""
        clock = self._clock()
        return max(self.breaker.wait(clock), self.rate.wait(clock))

    def admission_delay(self) -> float:
        """Return the seconds until any attempt may begin; 0 if some can use an alternative provider."""
        return 0.0 if self.is_open else self.wait()

    @property
    def is_open(self) -> bool:
        """True while the circuit is open: nothing is submitted for a while."""
        return self.breaker.state == "open"

    @property
    def is_unrestricted(self) -> bool:
        """True if any number of submissions is admitted now."""
        return self.breaker.state == "closed" and not self.rate.per_second

    async def begin(self) -> None:
        """Count a submission that begins."""
        clock = self._clock()
        self.breaker.begin(clock)
        self.rate.begin(clock)
        await self._announce()

    def abandoned(self) -> None:
        """Note that a submission was not sent after all: another one may be the probe."""
        self.breaker.abandoned()

    async def answered(self) -> None:
        """Note that the provider works: it answered, even if with a rejection."""
        self.breaker.succeeded()
        await self._announce()

    async def failed(self, reason: str) -> None:
        """Note that the provider is away, busy or broken, or rejects our credentials."""
        self.breaker.failed(self._clock(), reason)
        await self._announce()

    async def _announce(self) -> None:
        """Announce a changed state. Never raises: the next submission repeats a failed announcement."""
        before, state = self._announced, self.breaker.state
        if state == before:
            return
        self._announced = state
        log.warning("circuit_changed", state=state, reason=self.breaker.reason)
        try:
            await self._announce_state(state, self.breaker.reason)
        except Exception as error:
            self._announced = before
            log.warning("circuit_not_announced", state=state, error=f"{type(error).__name__}: {error}")
