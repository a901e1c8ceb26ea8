"""Commands and cancels from Kafka are stored in the ledger before their offsets are committed."""

from collections.abc import Sequence
from datetime import datetime

from pymongo import InsertOne

from contracts.renders import RenderCancel, RenderRequested
from services.gateways.runtime.ledger.documents import cancelled_document, new_document, own_attempt_from
from services.gateways.runtime.lifecycle.attempt import Attempt, Facts
from shared.clock import now
from shared.envelope import Received
from shared.mongo import Collection, write_guarded


class LedgerIntake:
    """Stores commands under an owner, once each."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def accept(
        self, batch: Sequence[Received[RenderRequested]], owner: str, *, with_intent: bool = False
    ) -> list[Attempt]:
        """Store commands; return the new attempts, and those of `owner` that are still open.

        `with_intent` saves a write for attempts that are sent at once. All are one bulk write. If its
        answer is lost, the same batch is delivered again, and its attempts must not count as known.
        """
        time = now()
        documents = [new_document(received, owner, time, with_intent=with_intent) for received in batch]
        known = await write_guarded(self._collection, [InsertOne(document) for document in documents])
        new = [
            _new_attempt(received, owner, time if with_intent else None)
            for position, received in enumerate(batch)
            if position not in known
        ]
        if not known:
            return new
        repeated = {batch[position].message.attempt_id for position in known} - {each.id for each in new}
        query = {"_id": {"$in": sorted(repeated)}, "owner": owner}
        return new + [own_attempt_from(document) async for document in self._collection.find(query)]

    async def accept_cancels(self, cancels: Sequence[RenderCancel]) -> None:
        """Store cancels: as ended documents for unknown attempts, as requests for open ones."""
        time = now()
        inserts = [InsertOne(cancelled_document(cancel, time)) for cancel in cancels]
        known = sorted(await write_guarded(self._collection, inserts))
        if known:
            ids = [cancels[position].attempt_id for position in known]
            await self._collection.update_many(
                {"_id": {"$in": ids}, "owner": {"$exists": True}},
                {"$set": {"cancel": True, "next_check_at": time}},
            )

    async def note_duplicates(self, attempt_ids: Sequence[str]) -> None:
        """Mark attempts whose images were discarded because another result of the render came first."""
        if attempt_ids:
            query = {"_id": {"$in": list(attempt_ids)}}
            await self._collection.update_many(query, {"$set": {"duplicate": True}})


def _new_attempt(received: Received[RenderRequested], owner: str, intent_at: datetime | None) -> Attempt:
    return Attempt(
        command=received.message,
        trace=received.trace,
        owner=owner,
        facts=Facts(intent_unused=intent_at is not None),
        submitting_at=intent_at,
    )
