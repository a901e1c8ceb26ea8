"""Allocation of a provider's slots to the processes of its gateway; the sum never exceeds the limit.

One document holds all shares. A process changes its own share by a guarded write, and never below the
number it has in flight: a share that shrinks frees its slots before another process takes them.
"""

import time
from collections.abc import Callable
from collections.abc import Collection as Names

from pymongo import ReplaceOne

from shared.mongo import Collection, write_guarded
from shared.mongo.leases import LEASE_SECONDS


def allocation_of(limit: int, shares: dict[str, int], me: str, in_flight: int, alive: Names[str]) -> int:
    """Return the slots of `me`: an equal part, at least those in flight, at most those the others leave."""
    others = {owner: slots for owner, slots in shares.items() if owner != me and owner in alive}
    members = sorted({*alive, me})
    part, rest = divmod(limit, len(members))
    target = part + (1 if members.index(me) < rest else 0)
    free = max(0, limit - sum(others.values()))
    return max(min(in_flight, free), min(target, free))


class SlotAllocation:
    """This process's share of the `limit` slots of a role; `mine` is its number of slots."""

    def __init__(
        self,
        collection: Collection,
        role: str,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = collection
        self._role = role
        self._limit = limit
        self._clock = clock
        self._unseen: dict[str, float] = {}
        self.mine = 0

    async def rebalance(
        self,
        me: str,
        alive: Names[str],
        in_flight: Callable[[], int],
        resize: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Agree on the shares with the processes that are alive. A lost race is repeated the next time.

        `resize` is called with a smaller share before it is declared, and with a larger one after.
        """
        document = await self._collection.find_one({"_id": self._role}) or {"version": 0, "shares": {}}
        present = self._present(me, document["shares"], alive)
        shares = {owner: slots for owner, slots in document["shares"].items() if owner in present}
        mine = allocation_of(self._limit, shares, me, in_flight(), present)
        self.mine = min(self.mine, mine)
        resize(self.mine)
        agreed = shares | {me: mine}
        if agreed != document["shares"]:
            version = document["version"]
            write = ReplaceOne(
                {"_id": self._role, "version": version},
                {"version": version + 1, "shares": agreed},
                upsert=True,
            )
            if await write_guarded(self._collection, [write]):
                return
        self.mine = mine
        resize(mine)

    def _present(self, me: str, owners: Names[str], alive: Names[str]) -> set[str]:
        """Return owners that are alive or may have started since leases were read: ids rise with time."""
        clock = self._clock()
        younger = (owner for owner in owners if owner > me and owner not in alive)
        self._unseen = {owner: self._unseen.get(owner, clock) for owner in younger}
        return {*alive, *(o for o, since in self._unseen.items() if clock - since < LEASE_SECONDS)}
