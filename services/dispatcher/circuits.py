"""provider.health → the providers to avoid. Every dispatcher reads all messages."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.base import Provider
from contracts.operations import ProviderHealth
from shared.clock import now
from shared.envelope import Received
from shared.loops import every
from shared.mongo import Collection

REFRESH_SECONDS = 5.0
LAPSE = timedelta(seconds=120)
"""Age from which an open circuit is ignored; longer than a circuit stays open.

A circuit closes only after a probe, which is a render, and an avoided provider gets no render. After this
time one is sent there anyway.
"""


class OpenCircuits:
    """The providers with an open circuit in at least one gateway process.

    One process is enough: a render cannot choose the process that handles it. Events arrive at once.
    The `provider_health` documents hold the state from before the start, and are read again at
    intervals, in case an event was missed.
    """

    def __init__(self, health: Collection) -> None:
        self._health = health
        self._reported: dict[tuple[Provider, str], ProviderHealth] = {}
        self._missed = asyncio.Event()

    @property
    def down(self) -> frozenset[Provider]:
        """Return the providers to avoid now. The open circuit of a dead gateway lapses."""
        since = now() - LAPSE
        return frozenset(
            health.provider
            for health in self._reported.values()
            if health.state == "open" and health.at > since
        )

    def receive(self, batch: Sequence[Received[Any]]) -> None:
        """Apply messages of gateways."""
        for received in batch:
            self._take(received.message)

    def catch_up(self) -> None:
        """Read the documents soon: a message may have been missed."""
        self._missed.set()

    async def run(self) -> None:
        """Read the documents at intervals until cancelled; wait for a database that is away."""
        await every(REFRESH_SECONDS, self.read, name="circuits", wake=self._missed)

    async def read(self) -> None:
        """Read the documents."""
        async for document in self._health.find({"at": {"$gt": now() - LAPSE}}):
            self._take(ProviderHealth.model_validate({"provider": document["_id"]} | document))
        since = now() - LAPSE
        self._reported = {key: health for key, health in self._reported.items() if health.at > since}

    def _take(self, health: ProviderHealth) -> None:
        """Keep the newest state of each process."""
        key = health.provider, health.instance
        if key not in self._reported or self._reported[key].at <= health.at:
            self._reported[key] = health
