"""provider.health → which providers are passed over; every dispatcher hears all of it."""

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

AGAIN_SECONDS = 5.0
LAPSE = timedelta(seconds=120)
"""Longer than a circuit stays open. Its probe is the next render, and a provider that is passed over gets
none: after this time one is sent there, and tells."""


class OpenCircuits:
    """The providers of which a gateway's process says that its circuit is open.

    One is enough: a render cannot choose the process that it comes to.

    Events come at once; the `provider_health` documents tell what was said before, and are read
    again now and then, so that an event that was missed is not missed for long.
    """

    def __init__(self, health: Collection) -> None:
        self._health = health
        self._said: dict[tuple[Provider, str], ProviderHealth] = {}
        self._missed = asyncio.Event()

    @property
    def down(self) -> frozenset[Provider]:
        """Who is to be passed over now. A gateway that died does not close its circuit: that lapses."""
        since = now() - LAPSE
        return frozenset(
            said.provider for said in self._said.values() if said.state == "open" and said.at > since
        )

    def hear(self, batch: Sequence[Received[Any]]) -> None:
        """Take in what gateways say."""
        for received in batch:
            self._take(received.message)

    def catch_up(self) -> None:
        """Something may have been missed: read the documents soon."""
        self._missed.set()

    async def run(self) -> None:
        """Read the documents now and then until cancelled; a database that is away is waited for."""
        await every(AGAIN_SECONDS, self.read, name="circuits", wake=self._missed)

    async def read(self) -> None:
        """What the documents say."""
        async for document in self._health.find({"at": {"$gt": now() - LAPSE}}):
            self._take(ProviderHealth.model_validate({"provider": document["_id"]} | document))
        since = now() - LAPSE
        self._said = {key: said for key, said in self._said.items() if said.at > since}

    def _take(self, health: ProviderHealth) -> None:
        """The last word of each process."""
        key = health.provider, health.instance
        if key not in self._said or self._said[key].at <= health.at:
            self._said[key] = health
