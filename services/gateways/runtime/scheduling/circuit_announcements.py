"""Announcements of a process's circuit, to dispatchers and operators."""

from prometheus_client import Gauge
from pymongo import IndexModel

from contracts.base import Provider
from contracts.operations import ProviderHealth
from services.gateways.runtime.scheduling.breaker import Circuit
from shared.clock import now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.mongo import Collection

HEALTH_INDEXES = (IndexModel([("at", 1)], expireAfterSeconds=24 * 3600),)
"""Announcements of processes that no longer exist expire."""

circuit_open = Gauge("imagegen_circuit_open", "1 while nothing is submitted to a provider", ["provider"])


class CircuitAnnouncements:
    """Writes a document, publishes an event and sets a metric."""

    def __init__(
        self, provider: Provider, instance: str, collection: Collection, publisher: Publisher
    ) -> None:
        self._provider = provider
        self._instance = instance
        self._collection = collection
        self._publisher = publisher

    async def __call__(self, state: Circuit, reason: str) -> None:
        """Announce a state. The document is written first: a process that misses the event reads it there."""
        circuit_open.labels(self._provider).set(state == "open")
        event = ProviderHealth(
            provider=self._provider, instance=self._instance, state=state, reason=reason[:300], at=now()
        )
        await self._collection.update_one({"_id": event.breaker}, {"$set": event.model_dump()}, upsert=True)
        await self._publisher.publish([Outgoing(event)])
