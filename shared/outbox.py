"""Transactional outbox: messages stored in the same write as their cause, published at once or later.

For causes that are not Kafka messages (HTTP, timers, polls). A document carries
`outbox: {at, messages}` until the broker has acknowledged them; the sweeper of any instance
publishes what a crash or an absent broker left behind. Publishing twice is harmless: the message
id is the same.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from pymongo import UpdateOne

from contracts.base import Message, Model, Moment
from shared.clock import now
from shared.envelope import Envelope, encode
from shared.fold import StoredMessage
from shared.loops import every
from shared.mongo import Collection, due_by, due_index, find_by_id
from shared.mongo.group_commit import guarded_writes
from shared.transient import is_transient

log = structlog.get_logger()

OUTBOX_INDEX = due_index("outbox.at")

AT_ONCE_SECONDS = 2.0
"""How long a caller waits for the broker before it leaves the messages to the sweeper."""
OVERDUE = timedelta(seconds=10)
TICK_SECONDS = 1.0
PAGE = 200


class OutboxEntry(Model):
    """Unpublished messages of a document, and the time at which they were stored."""

    at: Moment
    messages: tuple[StoredMessage, ...]


class PendingEntry(Model):
    """A document's id and its outbox entry."""

    id: str
    entry: OutboxEntry


class OutboxStore(Protocol):
    """Storage of the documents that carry an outbox entry."""

    async def pending(self, ids: Iterable[str]) -> list[PendingEntry]:
        """Return the entries of these documents; documents without one are left out."""

    async def overdue(self, before: datetime, limit: int) -> list[PendingEntry]:
        """Return entries stored before a time, oldest first."""

    async def remove(self, entries: Sequence[PendingEntry]) -> None:
        """Remove published entries; an entry that was replaced or has grown since stays."""


class Sender(Protocol):
    """The part of the publisher that an outbox uses."""

    async def send(self, envelopes: Sequence[Envelope]) -> None: ...


def outbox_entry(*messages: Message, source: str, trace: str | None, at: datetime) -> dict[str, Any]:
    """Return the value of `outbox` for a document that must publish these messages."""
    stored = [StoredMessage.of(encode(message, source=source, trace=trace, at=at)) for message in messages]
    return OutboxEntry(at=at, messages=tuple(stored)).model_dump()


def stored_with(entry: OutboxEntry) -> dict[str, Any]:
    """Return the update operators that add an entry to whatever the document has to publish already.

    A write that replaces a document uses them: another write's messages may be unpublished.
    """
    messages = [message.model_dump() for message in entry.messages]
    return {"$push": {"outbox.messages": {"$each": messages}}, "$set": {"outbox.at": entry.at}}


class ImmediatePublisher:
    """Publishes if the broker answers soon; after a failure it skips the broker for a short time."""

    def __init__(self, publisher: Sender, clock: Callable[[], float] = time.monotonic) -> None:
        self._publisher = publisher
        self._clock = clock
        self._skip_until: float | None = None

    async def try_publish(self, envelopes: Sequence[Envelope], about: str) -> bool:
        """Return whether the broker acknowledged all of them. Never raises.

        After False they must stay in an outbox: the broker may not have them all.
        """
        if self._skip_until is not None and self._clock() < self._skip_until:
            return False
        try:
            await asyncio.wait_for(self._publisher.send(envelopes), AT_ONCE_SECONDS)
        except Exception as error:
            self._skip_until = self._clock() + TICK_SECONDS
            log.warning("publish_deferred_to_sweeper", id=about, error=f"{type(error).__name__}: {error}")
            return False
        return True


class Outbox:
    """Publishes the outbox entries of one collection. Several instances may do so at once."""

    def __init__(self, store: OutboxStore, publisher: Sender) -> None:
        self._store = store
        self._publisher = publisher
        self._immediate = ImmediatePublisher(publisher)
        self._tasks: set[asyncio.Task[None]] = set()

    async def flush(self, ids: Iterable[str]) -> None:
        """Publish the entries of these documents and remove them.

        Raises:
            KafkaError: when the broker does not acknowledge all; the entries stay.
        """
        await self.publish(await self._store.pending(ids))

    async def publish(self, entries: Sequence[PendingEntry]) -> None:
        """Publish entries that are already loaded, then remove them."""
        if entries:
            await self._publisher.send(_envelopes(entries))
            await self._store.remove(entries)

    async def try_publish(self, entry: PendingEntry) -> bool:
        """Publish at once if the broker answers soon; else leave it to the sweeper. Never raises."""
        if not await self._immediate.try_publish(_envelopes([entry]), entry.id):
            return False
        task = asyncio.create_task(self._remove(entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _remove(self, entry: PendingEntry) -> None:
        try:
            await self._store.remove([entry])
        except Exception as error:
            log.warning("outbox_entry_not_removed", id=entry.id, error=f"{type(error).__name__}: {error}")

    async def sweep(self, older_than: timedelta = OVERDUE) -> int:
        """Publish a page of entries older than that; return the number of published entries.

        An entry that the broker will never accept does not hold up the others.
        """
        entries = await self._store.overdue(now() - older_than, PAGE)
        try:
            await self.publish(entries)
        except KafkaError as error:
            if is_transient(error):
                raise
            return await self._publish_one_by_one(entries)
        return len(entries)

    async def _publish_one_by_one(self, entries: Sequence[PendingEntry]) -> int:
        published = 0
        for entry in entries:
            try:
                await self.publish([entry])
                published += 1
            except KafkaError as error:
                if is_transient(error):
                    raise
                log.exception("outbox_entry_unpublishable", id=entry.id)
        return published

    async def run(self) -> None:
        """Sweep until cancelled; wait for servers that are away."""
        await every(TICK_SECONDS, self._sweep_all, name="outbox")

    async def _sweep_all(self) -> None:
        while await self.sweep() == PAGE:
            pass


class MongoOutboxStore(OutboxStore):
    """Documents with a field `outbox` in a collection that has `OUTBOX_INDEX`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._commit = guarded_writes(collection)

    async def pending(self, ids: Iterable[str]) -> list[PendingEntry]:
        """One round trip."""
        return _pending(await find_by_id(self._collection, ids, {"outbox": 1}))

    async def overdue(self, before: datetime, limit: int) -> list[PendingEntry]:
        """One round trip, by index."""
        due = self._collection.find({"outbox.at": due_by(before)}, {"outbox": 1}).sort("outbox.at", 1)
        return _pending(await due.limit(limit).to_list(None))

    async def remove(self, entries: Sequence[PendingEntry]) -> None:
        """Guarded by time and size of each entry; shares bulk writes with other callers."""
        await asyncio.gather(*(self._commit.write(_removal(each)) for each in entries))


def _envelopes(entries: Sequence[PendingEntry]) -> list[Envelope]:
    return [message.envelope() for each in entries for message in each.entry.messages]


def _removal(published: PendingEntry) -> UpdateOne:
    """Return the write that removes an entry. Two writes within a millisecond have the same time."""
    entry = published.entry
    unchanged = {"outbox.at": entry.at, "outbox.messages": {"$size": len(entry.messages)}}
    return UpdateOne({"_id": published.id, **unchanged}, {"$unset": {"outbox": ""}})


def _pending(documents: Iterable[Mapping[str, Any]]) -> list[PendingEntry]:
    return [
        PendingEntry(id=document["_id"], entry=document["outbox"])
        for document in documents
        if document.get("outbox")
    ]
