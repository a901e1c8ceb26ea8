"""Writes of the executor to the ledger: intent, submission ref, end. Each is guarded by the owner."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from services.gateways.kit.provider import SubmissionRef
from services.gateways.runtime.ledger.documents import intent_fields, owned, ref_fields, withdrawn
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import End
from shared.clock import now
from shared.mongo import Collection
from shared.mongo.group_commit import GroupCommit, guarded_writes
from shared.outbox import OVERDUE


class Ledger:
    """Guarded writes, grouped into few round trips. They return False if the owner has changed."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._writes = guarded_writes(collection)
        self._intents = GroupCommit(self._write_intents)
        self._published: list[tuple[str, datetime]] = []

    async def write_intent(self, attempt: Attempt) -> bool:
        """Write that the attempt is about to be sent, and when."""
        return await self._intents.write(attempt)

    async def _write_intents(self, group: Sequence[Attempt]) -> set[int]:
        """Write all intents of an owner in one statement; read them back only if some were not its own."""
        time, kept = now(), set[str]()
        for attempt in group:  # before the write: if its answer is lost, it may have been done
            attempt.submitting_at = time
        for owner in {attempt.owner for attempt in group}:
            ids = [attempt.id for attempt in group if attempt.owner == owner]
            ours = {"_id": {"$in": ids}, "owner": owner}
            update = {"$set": intent_fields(time), "$inc": {"submissions": 1}}
            done = await self._collection.update_many(ours, update)
            if done.matched_count == len(ids):
                kept.update(ids)
            else:
                written = self._collection.find(ours | {"submitting_at": time}, {"_id": 1})
                kept |= {each["_id"] async for each in written}
        return {position for position, attempt in enumerate(group) if attempt.id not in kept}

    async def save_ref(self, attempt: Attempt, ref: SubmissionRef) -> bool:
        """Write that the provider has the submission, under this ref.

        An owner that expired while it submitted still leaves the ref to its successor.
        """
        fields = {**ref_fields(ref), "state": "submitted", "submitted_at": now(), "billed": "yes"}
        if await self._set(attempt, fields):
            return True
        await self._collection.update_one(
            {
                "_id": attempt.id,
                "submitting_at": attempt.submitting_at,
                "state": {"$in": ["submitting", "unknown"]},
                "submission_ref": None,
            },
            {"$set": ref_fields(ref) | {"billed": "yes"}},
        )
        return False

    async def record_unknown(self, attempt: Attempt) -> bool:
        """Write that the outcome of the submission is unknown."""
        return await self._set(attempt, {"state": "unknown", "billed": "unknown"})

    async def requeue(self, attempt: Attempt, *, withdraw_intent: bool) -> bool:
        """Write that the provider has nothing of the last submission, unless there was a newer one."""
        guard = owned(attempt) | {"submitting_at": attempt.submitting_at, "submission_ref": None}
        update = {"$set": {"state": "accepted", "billed": "no"}} | withdrawn(intent=withdraw_intent)
        return await self._writes.write(UpdateOne(guard, update, upsert=True))

    async def finish(self, attempt: Attempt, end: End, outbox: dict[str, Any] | None) -> bool:
        """Write the end of an attempt and the outbox entry with its message, in one write.

        It does not give up an attempt without a ref whose ref a webhook has brought since.
        """
        fields: dict[str, Any] = {
            **(ref_fields(attempt.ref) if attempt.ref and not attempt.ref_saved else {}),
            "state": end.state,
            "finished_at": now(),
            "billed": end.billed,
            "cost_usd": end.cost_usd,
            "error": end.error,
        }
        if outbox is not None:
            fields["outbox"] = outbox
        removed = {"owner": ""}
        if end.next_check_at is not None:
            fields["next_check_at"] = end.next_check_at
        else:
            removed["next_check_at"] = ""
        update = {"$set": fields, "$unset": removed} | withdrawn(intent=end.withdraw_intent)
        guard = owned(attempt)
        if attempt.ref is None and end.next_check_at is not None:
            guard["submission_ref"] = None
        return await self._writes.write(UpdateOne(guard, update, upsert=True))

    async def ref_of(self, attempt_id: str) -> SubmissionRef | None:
        """Return the submission ref in the ledger, whichever process wrote it."""
        found = await self._collection.find_one({"_id": attempt_id}, {"submission_ref": 1})
        ref: SubmissionRef | None = (found or {}).get("submission_ref")
        return ref

    def note_published(self, attempt_id: str, at: datetime) -> None:
        """Note that the outbox entry of time `at` is published; `remove_published` removes it."""
        self._published.append((attempt_id, at))

    async def remove_published(self) -> None:
        """Remove the outbox entries that were published, in one write.

        An old entry may have been published by a sweeper and replaced by a newer one with another
        message: sweepers remove those.
        """
        published, self._published = self._published, []
        young = {attempt_id: at for attempt_id, at in published if at > now() - OVERDUE / 2}
        if young:
            query = {"_id": {"$in": list(young)}, "outbox.at": {"$lte": max(young.values())}}
            await self._collection.update_many(query, {"$unset": {"outbox": ""}})

    async def _set(self, attempt: Attempt, fields: dict[str, Any]) -> bool:
        return await self._writes.write(UpdateOne(owned(attempt), {"$set": fields}, upsert=True))
