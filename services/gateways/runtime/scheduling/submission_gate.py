"""Whether something may be sent to the provider now: its circuit and its rate; and who is told of it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Gauge
from pymongo import IndexModel

from contracts.base import Provider
from contracts.operations import ProviderHealth
from services.gateways.runtime.scheduling.breaker import Breaker, Circuit
from shared.clock import now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.mongo import Collection

log = structlog.get_logger()

HEALTH_INDEXES = (IndexModel([("at", 1)], expireAfterSeconds=24 * 3600),)
"""What a process said that is no more is forgotten."""

circuit_open = Gauge("imagegen_circuit_open", "1 while nothing is sent to a provider", ["provider"])

Told = Callable[[Circuit, str], Awaitable[None]]


async def _tell_no_one(state: Circuit, reason: str) -> None:
    return None


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Rate:
    """At most `per_second` on average, and no more than a second's worth at once. None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._next = 0.0

    def wait(self, clock: float) -> float:
        """Seconds until the next may be sent."""
        if not self.per_second:
            return 0.0
        gap = 1.0 / self.per_second
        return max(0.0, self._next + gap - clock - max(1.0, gap))

    def begin(self, clock: float) -> None:
        """One is sent."""
        if self.per_second:
            self._next = max(self._next, clock) + 1.0 / self.per_second


class SubmissionGate:
    """Guards the submissions of one process."""

    def __init__(
        self,
        breaker: Breaker | None = None,
        rate: Rate | None = None,
        told: Told = _tell_no_one,
        clock: Callable[[], float] = _loop_time,
    ) -> None:
        self.breaker = breaker or Breaker()
        self.rate = rate or Rate(None)
        self._told = told
        self._clock = clock
        self._last: Circuit = "closed"

    def wait(self) -> float:
        """Seconds until something may be sent; 0 is now."""
        clock = self._clock()
        return max(self.breaker.wait(clock), self.rate.wait(clock))

    def admission_delay(self) -> float:
        """Seconds until anything may be sent; 0 behind an open circuit, where some can go elsewhere."""
        return 0.0 if self.is_open else self.wait()

    @property
    def is_open(self) -> bool:
        """Nothing gets through for a while."""
        return self.breaker.state == "open"

    @property
    def is_unrestricted(self) -> bool:
        """Whether anything may be sent, however much at once."""
        return self.breaker.state == "closed" and not self.rate.per_second

    async def begin(self) -> None:
        """Something is being sent."""
        clock = self._clock()
        self.breaker.begin(clock)
        self.rate.begin(clock)
        await self._tell()

    def abandoned(self) -> None:
        """It was not sent after all: another may be the probe."""
        self.breaker.abandoned()

    async def answered(self) -> None:
        """The provider answered as it should, be it with a refusal."""
        self.breaker.succeeded()
        await self._tell()

    async def failed(self, reason: str) -> None:
        """The provider is away, busy or broken, or does not let us in."""
        self.breaker.failed(self._clock(), reason)
        await self._tell()

    async def _tell(self) -> None:
        """Never raises: the submission in hand goes on. What could not be told is told with the next one."""
        before, state = self._last, self.breaker.state
        if state == before:
            return
        self._last = state
        log.warning("circuit_moved", state=state, reason=self.breaker.reason)
        try:
            await self._told(state, self.breaker.reason)
        except Exception as error:
            self._last = before
            log.warning("circuit_not_told", state=state, error=f"{type(error).__name__}: {error}")


class Announcements:
    """Tells dispatchers and operators of this process's circuit: a document, an event, a metric."""

    def __init__(
        self, provider: Provider, instance: str, collection: Collection, publisher: Publisher
    ) -> None:
        self._provider = provider
        self._instance = instance
        self._collection = collection
        self._publisher = publisher

    async def __call__(self, state: Circuit, reason: str) -> None:
        """Say it. The document comes first: who misses the event reads it there."""
        circuit_open.labels(self._provider).set(state == "open")
        event = ProviderHealth(
            provider=self._provider, instance=self._instance, state=state, reason=reason[:300], at=now()
        )
        await self._collection.update_one({"_id": event.breaker}, {"$set": event.model_dump()}, upsert=True)
        await self._publisher.publish([Outgoing(event)])
