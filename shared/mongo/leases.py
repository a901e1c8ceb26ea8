"""Leases: one document per process, so that a successor takes over the documents of an expired owner.

A held document names its `owner`. A guarded write marks an owner whose lease ran out as expired;
from then on its own renewals fail, and it must drop what it held.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.clock import now
from shared.ids import uuid7
from shared.loops import every
from shared.mongo.client import Collection
from shared.transient import is_transient

log = structlog.get_logger()

LEASE_SECONDS = 10.0
RENEW_SECONDS = 2.5
TAKEOVER_SECONDS = 600.0
"""Limit for taking over everything that an expired owner held."""
RELEASE_SECONDS = 1.5
FORGET_SECONDS = 120.0
"""How long to keep watching an expired owner for writes that were already in flight."""


class LeaseExpired(TimeoutError):
    """This process may have been marked as expired; it must not act before it has renewed its lease."""


class Lease:
    """The lease of this process in `collection`, under a role such as `gateway-fal`.

    Args:
        on_owner_expired: called with the id of each owner whose lease this process found expired.
        on_lost: called when this process itself was marked as expired; it has a new `owner` by then.
        patience_seconds: how long our own lease must have been valid before we expire another.
    """

    def __init__(
        self,
        collection: Collection,
        role: str,
        *,
        on_owner_expired: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], Awaitable[None]],
        patience_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = collection
        self._role = role
        self._on_owner_expired = on_owner_expired
        self._on_lost = on_lost
        self._patience = patience_seconds
        self._clock = clock
        self._valid_until = -math.inf
        self._valid_since = math.inf
        self.owner = ""
        self.alive: set[str] = set()
        """All owners of this role with a valid lease, as of the last check; ours is among them."""

    async def take(self) -> None:
        """Take a new lease under a new owner id."""
        self.owner = f"{self._role}:{uuid7()}"
        started = self._clock()
        await self._collection.insert_one(
            {"_id": self.owner, "role": self._role, "until": self._until(), "expired": False}
        )
        self._valid_until = started + LEASE_SECONDS
        self._valid_since = started

    @property
    def remaining(self) -> float:
        """Seconds until a successor may take over."""
        return self._valid_until - self._clock()

    @property
    def valid(self) -> bool:
        """True while no successor can have taken over.

        Check it immediately before an action that must not happen twice.
        """
        return self.remaining > 1.0

    def check(self, owner: str, doing: str) -> None:
        """Check that `owner` is still ours and its lease valid; the owner changes when a lease is lost.

        Raises:
            LeaseExpired: naming the action that was about to happen.
        """
        if owner != self.owner or not self.valid:
            raise LeaseExpired(f"the lease of {owner} expired before {doing}")

    async def run(self) -> None:
        """Renew, and reap expired owners, until cancelled: a large takeover may last longer than a lease."""
        async with asyncio.TaskGroup() as both:
            both.create_task(every(RENEW_SECONDS, self.renew, name="lease renewal"))
            both.create_task(every(RENEW_SECONDS, self.reap_expired, name="takeover", limit=TAKEOVER_SECONDS))

    async def renew(self) -> None:
        """Extend the lease; if it was lost meanwhile, take a new one and call `on_lost`."""
        started = self._clock()
        result = await self._collection.update_one(
            {"_id": self.owner, "expired": False}, {"$set": {"until": self._until()}}
        )
        if result.matched_count:
            if started > self._valid_until:
                self._valid_since = started
            self._valid_until = started + LEASE_SECONDS
            return
        log.error("lease_lost", owner=self.owner)
        await self.take()
        await self._on_lost()

    async def reap_expired(self) -> None:
        """Take over from every expired owner."""
        for owner in await self.expire_others():
            await self._on_owner_expired(owner)

    async def expire_others(self) -> list[str]:
        """Mark owners whose lease ran out as expired and return them; update `alive`."""
        others = {"role": self._role, "_id": {"$ne": self.owner}}
        alive, expired = {self.owner}, list[str]()
        async for lease in self._collection.find(others):
            if not lease["expired"]:
                if lease["until"] > now() or not self._may_expire_others:
                    alive.add(lease["_id"])
                    continue
                guard = {"_id": lease["_id"], "until": lease["until"], "expired": False}
                result = await self._collection.update_one(guard, {"$set": {"expired": True}})
                if not result.matched_count:
                    continue
            expired.append(lease["_id"])
        self.alive = alive
        return expired

    @property
    def _may_expire_others(self) -> bool:
        """True if the others could have renewed: not right after the database was away for everyone."""
        return self._clock() - self._valid_since >= self._patience

    async def forget(self, owner: str) -> None:
        """Delete the lease of an expired owner whose documents and in-flight writes are all taken over."""
        long_ago = now() - timedelta(seconds=FORGET_SECONDS)
        await self._collection.delete_one({"_id": owner, "expired": True, "until": {"$lt": long_ago}})

    async def release(self) -> None:
        """Give the lease up: a successor may take over at once; without a database, once it has run out."""
        self._valid_until = -math.inf
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._collection.update_one({"_id": self.owner}, {"$set": {"expired": True}})
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("lease_not_released", owner=self.owner, error=f"{type(error).__name__}: {error}")

    def _until(self) -> object:
        return now() + timedelta(seconds=LEASE_SECONDS)
