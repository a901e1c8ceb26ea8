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
from shared.loops import every
from shared.mongo import Collection

log = structlog.get_logger()

LEASE_SECONDS = 10.0
RENEW_SECONDS = 2.5
TAKEOVER_SECONDS = 600.0
"""Limit for taking over everything that a dead process held."""
RELEASE_SECONDS = 1.5
FORGET_SECONDS = 120.0
"""A dead owner is looked after so long: a write of its may have been under way."""


class LeaseOver(TimeoutError):
    """This process may have been declared dead: it does nothing for others until its lease is renewed."""


class Lease:
    """This process's life sign in `collection`, below a role such as `gateway-fal`.

    Args:
        on_death: called with the id of each owner that this process declared dead.
        on_lost: called when this process itself was declared dead; it has a new `owner` by then.
        patience_seconds: how long our own lease must have held before we bury another.
    """

    def __init__(
        self,
        collection: Collection,
        role: str,
        *,
        on_death: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], Awaitable[None]],
        patience_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._collection = collection
        self._role = role
        self._on_death = on_death
        self._on_lost = on_lost
        self._patience = patience_seconds
        self._valid_until = 0.0
        self._valid_since = 0.0
        self.owner = ""
        self.alive: set[str] = set()
        """All living owners of this role, as of the last renewal; ours is among them."""

    async def take(self) -> None:
        """Begin a new life under a new owner id."""
        self.owner = f"{self._role}:{uuid7()}"
        started = time.monotonic()
        await self._collection.insert_one(
            {"_id": self.owner, "role": self._role, "until": self._until(), "dead": False}
        )
        self._valid_until = started + LEASE_SECONDS
        self._valid_since = started

    @property
    def valid(self) -> bool:
        """Whether no one can have taken over yet. Look immediately before what must not be done twice."""
        return time.monotonic() < self._valid_until - 1.0

    def check(self, owner: str, doing: str) -> None:
        """See `valid`; for what is held under `owner`, which is another after this process was declared dead.

        Raises:
            LeaseOver: naming what was to be done.
        """
        if owner != self.owner or not self.valid:
            raise LeaseOver(f"lease of {owner} is over before {doing}")

    async def run(self) -> None:
        """Renew, and bury the dead, until cancelled: taking over much may last longer than a lease."""
        async with asyncio.TaskGroup() as both:
            both.create_task(every(RENEW_SECONDS, self.renew, name="lease renewal"))
            both.create_task(
                every(RENEW_SECONDS, self.bury_the_dead, name="takeover", limit=TAKEOVER_SECONDS)
            )

    async def renew(self) -> None:
        """Stay alive; when declared dead meanwhile, drop everything and begin anew."""
        started = time.monotonic()
        result = await self._collection.update_one(
            {"_id": self.owner, "dead": False}, {"$set": {"until": self._until()}}
        )
        if result.matched_count:
            if started > self._valid_until:
                self._valid_since = started
            self._valid_until = started + LEASE_SECONDS
            return
        log.error("lease_lost", owner=self.owner)
        await self.take()
        await self._on_lost()

    async def bury_the_dead(self) -> None:
        """Take over from those who are dead."""
        for owner in await self.look():
            await self._on_death(owner)

    async def look(self) -> list[str]:
        """Declare dead whose lease has ended; returns who is dead, and leaves in `alive` who is not."""
        others = {"role": self._role, "_id": {"$ne": self.owner}}
        alive, dead = {self.owner}, list[str]()
        async for lease in self._collection.find(others):
            if not lease["dead"]:
                if lease["until"] > now() or not self._may_bury:
                    alive.add(lease["_id"])
                    continue
                guard = {"_id": lease["_id"], "until": lease["until"], "dead": False}
                result = await self._collection.update_one(guard, {"$set": {"dead": True}})
                if not result.matched_count:
                    continue
            dead.append(lease["_id"])
        self.alive = alive
        return dead

    @property
    def _may_bury(self) -> bool:
        """Whether the others could have renewed: not right after the database was away for all of us."""
        return time.monotonic() - self._valid_since >= self._patience

    async def forget(self, owner: str) -> None:
        """A dead owner holds nothing any more, and what it still wrote while it died is settled too."""
        long_ago = now() - timedelta(seconds=FORGET_SECONDS)
        await self._collection.delete_one({"_id": owner, "dead": True, "until": {"$lt": long_ago}})

    async def release(self) -> None:
        """Leave in order: others may take over at once; with no database, when the lease has run out."""
        self._valid_until = 0.0
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._collection.update_one({"_id": self.owner}, {"$set": {"dead": True}})
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("lease_not_released", owner=self.owner, error=f"{type(error).__name__}: {error}")

    def _until(self) -> object:
        return now() + timedelta(seconds=LEASE_SECONDS)
