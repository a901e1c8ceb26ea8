"""Who is alive: one lease document per process, so that others take over what a dead one held.

A held document names its `owner`. An owner whose lease has ended is declared dead by a guarded
write; from then on its own renewals fail, and it must drop what it held.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.clock import now
from shared.errors import is_transient
from shared.ids import uuid7
from shared.mongo import Collection

log = structlog.get_logger()

LEASE_SECONDS = 10.0
RENEW_SECONDS = 2.5


class Lease:
    """This process's life sign in `collection`, below a role such as `gateway-fal`.

    Args:
        on_death: called with the id of each owner that this process declared dead.
        on_lost: called when this process itself was declared dead; it has a new `owner` by then.
    """

    def __init__(
        self,
        collection: Collection,
        role: str,
        *,
        on_death: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._collection = collection
        self._role = role
        self._on_death = on_death
        self._on_lost = on_lost
        self._valid_until = 0.0
        self.owner = ""

    async def take(self) -> None:
        """Begin a new life under a new owner id."""
        self.owner = f"{self._role}:{uuid7()}"
        started = time.monotonic()
        await self._collection.insert_one(
            {"_id": self.owner, "role": self._role, "until": self._until(), "dead": False}
        )
        self._valid_until = started + LEASE_SECONDS

    @property
    def valid(self) -> bool:
        """Whether no one can have taken over yet. Look immediately before what must not be done twice."""
        return time.monotonic() < self._valid_until - 1.0

    async def run(self) -> None:
        """Renew, and bury the dead, until cancelled."""
        while True:
            try:
                await self.renew()
                await self.bury_the_dead()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("lease_delayed", owner=self.owner, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(RENEW_SECONDS)

    async def renew(self) -> None:
        """Stay alive; when declared dead meanwhile, drop everything and begin anew."""
        started = time.monotonic()
        result = await self._collection.update_one(
            {"_id": self.owner, "dead": False}, {"$set": {"until": self._until()}}
        )
        if result.matched_count:
            self._valid_until = started + LEASE_SECONDS
            return
        log.error("lease_lost", owner=self.owner)
        await self.take()
        await self._on_lost()

    async def bury_the_dead(self) -> None:
        """Declare dead whose lease has ended, and take over from those who are dead."""
        others = {"role": self._role, "_id": {"$ne": self.owner}}
        async for lease in self._collection.find(others):
            if not lease["dead"]:
                if lease["until"] > now():
                    continue
                guard = {"_id": lease["_id"], "until": lease["until"], "dead": False}
                result = await self._collection.update_one(guard, {"$set": {"dead": True}})
                if not result.matched_count:
                    continue
            await self._on_death(lease["_id"])

    async def forget(self, owner: str) -> None:
        """A dead owner holds nothing any more."""
        await self._collection.delete_one({"_id": owner, "dead": True})

    async def release(self) -> None:
        """Leave in order: others may take over at once."""
        self._valid_until = 0.0
        await self._collection.update_one({"_id": self.owner}, {"$set": {"dead": True}})

    def _until(self) -> object:
        return now() + timedelta(seconds=LEASE_SECONDS)
