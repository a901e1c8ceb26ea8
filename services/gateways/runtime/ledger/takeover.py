"""Change of owner in the ledger: attempts of an expired process, and attempts missing in memory."""

from collections.abc import AsyncIterator, Container, Sequence
from typing import Any

from services.gateways.runtime.ledger.documents import attempt_from, own_attempt_from
from services.gateways.runtime.lifecycle.attempt import Attempt, State
from shared.mongo import IN_PAGE, Collection


class Takeover:
    """Reads an owner's open attempts and gives them to another one."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def held_by(self, owner: str) -> AsyncIterator[Attempt]:
        """Yield the open attempts of an owner."""
        async for document in self._collection.find({"owner": owner}).batch_size(IN_PAGE):
            yield attempt_from(document)

    async def stranded(self, owner: str, in_memory: Container[str]) -> list[Attempt]:
        """Return open attempts of an owner that it does not have in memory: an answer was lost."""
        ids = [document["_id"] async for document in self._collection.find({"owner": owner}, {"_id": 1})]
        missing = [attempt_id for attempt_id in ids if attempt_id not in in_memory][:IN_PAGE]
        if not missing:
            return []
        found = self._collection.find({"_id": {"$in": missing}, "owner": owner})
        return [own_attempt_from(document) async for document in found]

    async def take_over(self, attempts: Sequence[Attempt], expired: str, owner: str) -> list[Attempt]:
        """Change the owner of these attempts; return those that still belonged to the expired one.

        One whose intent was written since it was read is left for the next time. One statement serves
        all that were read alike; they are read back only if some had changed.
        """
        alike: dict[tuple[State, bool], list[Attempt]] = {}
        for attempt in attempts:
            alike.setdefault((attempt.state, attempt.ref is not None), []).append(attempt)
        taken: list[Attempt] = []
        for (state, has_ref), group in alike.items():
            ids = {"_id": {"$in": [attempt.id for attempt in group]}}
            theirs, ours = ids | {"owner": expired} | _as_read(state, has_ref), ids | {"owner": owner}
            done = await self._collection.update_many(theirs, {"$set": {"owner": owner, "state": state}})
            if done.matched_count == len(group):
                taken += group
            else:
                kept = {each["_id"] async for each in self._collection.find(ours, {"_id": 1})}
                taken += [attempt for attempt in group if attempt.id in kept]
        for attempt in taken:
            attempt.owner = owner
        return taken


def _as_read(state: State, has_ref: bool) -> dict[str, Any]:
    """Return the guard that nothing was sent since the attempt was read."""
    if has_ref:
        return {}
    if state == "accepted":
        return {"state": "accepted", "submission_ref": None}
    return {"state": {"$ne": "accepted"}}
