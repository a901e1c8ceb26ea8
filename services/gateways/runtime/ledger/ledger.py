"""The `attempts` collection: every submission to a provider and its cost. Written by gateways only.

An open entry has an `owner`, the process that works on it. An end is final and removes the owner.
`next_check_at` is when an entry is checked next: an open one by its owner (`webhook_intake`), an ended
one by any process (`late_outcomes`).
"""

from collections.abc import AsyncIterator, Container, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import IndexModel, InsertOne, UpdateOne

from contracts.renders import Billed, RenderCancel, RenderRequested
from services.gateways.kit.provider import SubmissionRef, idempotency_key_of
from services.gateways.runtime.lifecycle.attempt import Attempt, State, attempt_of
from shared.clock import now
from shared.envelope import Received
from shared.mongo import IN_PAGE, Collection, due_index, write_guarded
from shared.mongo.group_commit import GroupCommit, guarded_writes
from shared.outbox import OUTBOX_INDEX, OVERDUE

INDEXES = (
    IndexModel([("owner", 1)], sparse=True),
    OUTBOX_INDEX,
    due_index("next_check_at"),
    IndexModel([("idempotency_key", 1)]),
)


class Ledger:
    """Writes are guarded by the owner, who may have been declared dead."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._writes = guarded_writes(collection)
        self._intents = GroupCommit(self._write_intents)
        self._said: list[tuple[str, datetime]] = []

    async def accept(
        self, batch: Sequence[Received[RenderRequested]], owner: str, *, at_once: bool = False
    ) -> list[Attempt]:
        """Store commands under `owner`; returns the new ones, and those of `owner` that are still open.

        Those that are sent `at_once` are stored with their intent. One bulk write. When its answer is
        lost, the same batch comes again: what it wrote must not be taken for known and forgotten.
        """
        time = now()
        begin = _intent(time) | {"submissions": 1} if at_once else _NOT_SENT
        inserts = [
            InsertOne(
                {
                    "_id": received.message.attempt_id,
                    "job_id": received.message.job_id,
                    "render_id": received.message.render_id,
                    "tenant": received.message.tenant,
                    "provider": received.message.provider,
                    "idempotency_key": idempotency_key_of(received.message.attempt_id),
                    "command": received.message.model_dump(),
                    "trace": received.trace,
                    "owner": owner,
                    "accepted_at": time,
                    **begin,
                }
            )
            for received in batch
        ]
        known = await write_guarded(self._collection, inserts)
        new = [
            Attempt(
                command=received.message,
                trace=received.trace,
                owner=owner,
                submitting_at=time if at_once else None,
                intended=at_once,
            )
            for position, received in enumerate(batch)
            if position not in known
        ]
        if not known:
            return new
        repeated = {batch[position].message.attempt_id for position in known} - {a.id for a in new}
        query = {"_id": {"$in": sorted(repeated)}, "owner": owner}
        return new + [_our(document) async for document in self._collection.find(query)]

    async def accept_cancels(self, cancels: Sequence[RenderCancel]) -> None:
        """Store cancels: of unknown attempts, so that a later command is a no-op; of others as a wish."""
        time = now()
        inserts = [
            InsertOne(
                {
                    "_id": cancel.attempt_id,
                    "job_id": cancel.job_id,
                    "render_id": cancel.render_id,
                    "tenant": cancel.tenant,
                    "provider": cancel.provider,
                    "idempotency_key": idempotency_key_of(cancel.attempt_id),
                    "state": "cancelled",
                    "accepted_at": time,
                    "finished_at": time,
                    "submissions": 0,
                    "billed": "no",
                }
            )
            for cancel in cancels
        ]
        known = sorted(await write_guarded(self._collection, inserts))
        if known:
            ids = [cancels[position].attempt_id for position in known]
            await self._collection.update_many(
                {"_id": {"$in": ids}, "owner": {"$exists": True}},
                {"$set": {"cancel": True, "next_check_at": time}},
            )

    async def intend(self, attempt: Attempt) -> bool:
        """Enter that this is about to be sent, and when; False when its owner holds it no more."""
        return await self._intents.write(attempt)

    async def _write_intents(self, group: Sequence[Attempt]) -> set[int]:
        """All say the same, so that one statement does; who they were is asked only if some were not."""
        time, kept = now(), set[str]()
        for attempt in group:  # before: whether it was written is not known when the answer is lost
            attempt.submitting_at = time
        for owner in {attempt.owner for attempt in group}:
            ids = [attempt.id for attempt in group if attempt.owner == owner]
            ours = {"_id": {"$in": ids}, "owner": owner}
            done = await self._collection.update_many(
                ours, {"$set": _intent(time), "$inc": {"submissions": 1}}
            )
            if done.matched_count == len(ids):
                kept.update(ids)
            else:
                written = self._collection.find(ours | {"submitting_at": time}, {"_id": 1})
                kept |= {each["_id"] async for each in written}
        return {position for position, attempt in enumerate(group) if attempt.id not in kept}

    async def move(self, attempt: Attempt, state: State, **fields: Any) -> bool:
        """Change an attempt; False when its owner holds it no more."""
        update = {"$set": {"state": state, **fields}}
        return await self._writes.write(UpdateOne(_held(attempt), update, upsert=True))

    async def requeue(self, attempt: Attempt) -> bool:
        """The provider has nothing of this sending: the attempt waits to be sent again.

        A write that is done only after the next sending changes nothing.
        """
        guard = _held(attempt) | {"submitting_at": attempt.submitting_at, "submission_ref": None}
        update = {"$set": {"state": "accepted", "billed": "no"}} | _unsent(attempt)
        attempt.intended = False
        return await self._writes.write(UpdateOne(guard, update, upsert=True))

    async def save_ref_after_loss(
        self, attempt_id: str, submitting_at: datetime | None, ref: SubmissionRef
    ) -> None:
        """An owner that was declared dead while it submitted still says what the provider answered."""
        await self._collection.update_one(
            {
                "_id": attempt_id,
                "submitting_at": submitting_at,
                "state": {"$in": ["submitting", "unknown"]},
                "submission_ref": None,
            },
            {"$set": named(ref) | {"billed": "yes"}},
        )

    async def ref_of(self, attempt_id: str) -> SubmissionRef | None:
        """What the ledger knows of a submission, whoever wrote it."""
        found = await self._collection.find_one({"_id": attempt_id}, {"submission_ref": 1})
        ref: SubmissionRef | None = (found or {}).get("submission_ref")
        return ref

    async def finish(
        self,
        attempt: Attempt,
        state: State,
        outbox: dict[str, Any] | None,
        *,
        billed: Billed,
        cost_usd: float | None = None,
        error: str | None = None,
        next_check_at: datetime | None = None,
    ) -> bool:
        """The end of an attempt and the message in its outbox (`shared.outbox`), in one write.

        `next_check_at`: the provider has not told this end, and is asked for it then (`late_outcomes`).
        """
        fields: dict[str, Any] = {
            **(named(attempt.ref) if attempt.ref and not attempt.saved else {}),
            "state": state,
            "finished_at": now(),
            "billed": billed,
            "cost_usd": cost_usd,
            "error": error,
        }
        if outbox is not None:
            fields["outbox"] = outbox
        gone = {"owner": ""}
        if next_check_at is not None:
            fields["next_check_at"] = next_check_at
        else:
            gone["next_check_at"] = ""
        update = {"$set": fields, "$unset": gone} | _unsent(attempt)
        return await self._writes.write(UpdateOne(_held(attempt), update, upsert=True))

    def said(self, attempt_id: str, at: datetime) -> None:
        """Note that the outbox entry of time `at` is published; `remove_published` removes it."""
        self._said.append((attempt_id, at))

    async def remove_published(self) -> None:
        """Remove the outbox entries that were published, in one write.

        An old entry may have been published by a sweeper and replaced by a newer one, for something
        else: that is left to sweepers.
        """
        said, self._said = self._said, []
        young = {attempt_id: at for attempt_id, at in said if at > now() - OVERDUE / 2}
        if young:
            query = {"_id": {"$in": list(young)}, "outbox.at": {"$lte": max(young.values())}}
            await self._collection.update_many(query, {"$unset": {"outbox": ""}})

    async def stranded(self, owner: str, held: Container[str]) -> list[Attempt]:
        """Open attempts of an owner that it does not hold: a write of its was done and not answered."""
        ids = [document["_id"] async for document in self._collection.find({"owner": owner}, {"_id": 1})]
        missing = [attempt_id for attempt_id in ids if attempt_id not in held][:IN_PAGE]
        if not missing:
            return []
        found = self._collection.find({"_id": {"$in": missing}, "owner": owner})
        return [_our(document) async for document in found]

    async def note_duplicates(self, attempt_ids: Sequence[str]) -> None:
        """The images of these were thrown away: others of the same renders had come first."""
        if attempt_ids:
            query = {"_id": {"$in": list(attempt_ids)}}
            await self._collection.update_many(query, {"$set": {"duplicate": True}})

    async def held_by(self, owner: str) -> AsyncIterator[Attempt]:
        """The open attempts of an owner."""
        async for document in self._collection.find({"owner": owner}).batch_size(IN_PAGE):
            yield attempt_of(document)

    async def take_over(self, attempts: Sequence[Attempt], dead: str, owner: str) -> list[Attempt]:
        """Change the owner of these; returns those that were still the dead one's.

        One whose intent was written since it was read is left for the next look. One statement for all
        that were read alike; who they were is asked only if some were not there any more.
        """
        alike: dict[tuple[State, bool], list[Attempt]] = {}
        for attempt in attempts:
            alike.setdefault((attempt.state, attempt.ref is not None), []).append(attempt)
        taken: list[Attempt] = []
        for (state, has_handle), group in alike.items():
            ids = {"_id": {"$in": [attempt.id for attempt in group]}}
            theirs, ours = ids | {"owner": dead} | _as_read(state, has_handle), ids | {"owner": owner}
            done = await self._collection.update_many(theirs, {"$set": {"owner": owner, "state": state}})
            if done.matched_count == len(group):
                taken += group
            else:
                kept = {each["_id"] async for each in self._collection.find(ours, {"_id": 1})}
                taken += [attempt for attempt in group if attempt.id in kept]
        for attempt in taken:
            attempt.owner = owner
        return taken


_NOT_SENT: Mapping[str, Any] = {"state": "accepted", "submissions": 0, "billed": "no"}


def _intent(time: datetime) -> dict[str, Any]:
    """It may be sent from now on."""
    return {"state": "submitting", "submitting_at": time, "billed": "unknown"}


def _unsent(attempt: Attempt) -> dict[str, Any]:
    """What takes an intent back after which nothing was sent."""
    return {"$inc": {"submissions": -1}} if attempt.intended else {}


def _our(document: dict[str, Any]) -> Attempt:
    """One of the owner's that it does not hold: what came with its intent was not begun with."""
    attempt = attempt_of(document)
    if document["state"] == "submitting" and not attempt.ref:
        attempt.state = "accepted"
    return attempt


def _held(attempt: Attempt) -> dict[str, Any]:
    """The guard of its owner's writes."""
    return {"_id": attempt.id, "owner": attempt.owner}


def named(ref: SubmissionRef) -> dict[str, Any]:
    """What an entry has once the provider has a name for it."""
    return {"submission_ref": ref, "external_id": ref["id"]}


def _as_read(state: State, has_handle: bool) -> dict[str, Any]:
    """Nothing was sent, or something may have been: that must not have changed."""
    if has_handle:
        return {}
    if state == "accepted":
        return {"state": "accepted", "submission_ref": None}
    return {"state": {"$ne": "accepted"}}
