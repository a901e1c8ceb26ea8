"""Messages that a document owes: stored in the same write as their cause, published at once or later.

For causes that are no Kafka message (HTTP, timers, polls). A document carries
`owed: {at, messages}` until the broker has them; what a crash or an absent broker leaves behind
is published by the sweeper of any instance. Saying a message twice is harmless: its id is the same.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from pymongo import UpdateOne

from contracts.base import Message, Model, Moment
from shared.clock import now
from shared.envelope import Envelope, encode
from shared.errors import is_transient
from shared.fold import StoredMessage
from shared.group_commit import guarded_writes
from shared.loops import every
from shared.mongo import Collection, due_by, due_index, find_by_id

log = structlog.get_logger()

OWED_INDEX = due_index("owed.at")

AT_ONCE_SECONDS = 2.0
"""How long a caller waits for the broker before it leaves the rest to the sweeper."""
OVERDUE = timedelta(seconds=10)
TICK_SECONDS = 1.0
PAGE = 200


class Owed(Model):
    """What a document owes, and since when."""

    at: Moment
    messages: tuple[StoredMessage, ...]


class Debt(Model):
    """A document's id and what it owes."""

    id: str
    owed: Owed


class Debts(Protocol):
    """Where the documents are kept."""

    async def of(self, ids: Iterable[str]) -> list[Debt]:
        """What these documents owe; those that owe nothing are left out."""

    async def overdue(self, before: datetime, limit: int) -> list[Debt]:
        """What is owed since before a time, oldest first."""

    async def settled(self, debts: Sequence[Debt]) -> None:
        """Forget these; what the same document has come to owe since then stays."""


class Sender(Protocol):
    """What an outbox needs of the publisher."""

    async def send(self, envelopes: Sequence[Envelope]) -> None: ...


def owe(*messages: Message, source: str, trace: str | None, at: datetime) -> dict[str, Any]:
    """The value of `owed` for a document that owes these messages."""
    stored = [StoredMessage.of(encode(message, source=source, trace=trace, at=at)) for message in messages]
    return Owed(at=at, messages=tuple(stored)).model_dump()


class AtOnce:
    """Publishes if the broker answers soon; after a failure nobody waits for it for a while."""

    def __init__(self, publisher: Sender) -> None:
        self._publisher = publisher
        self._silent_until = 0.0

    async def say(self, envelopes: Sequence[Envelope], about: str) -> bool:
        """False: the broker may not have them all, and they are to be owed. Never raises."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            await asyncio.wait_for(self._publisher.send(envelopes), AT_ONCE_SECONDS)
        except Exception as error:
            self._silent_until = time.monotonic() + TICK_SECONDS
            log.warning("left_to_the_sweeper", id=about, error=f"{type(error).__name__}: {error}")
            return False
        return True


class Outbox:
    """Publishes what the documents of one collection owe. Several instances may do so at once."""

    def __init__(self, debts: Debts, publisher: Sender) -> None:
        self._debts = debts
        self._publisher = publisher
        self._at_once = AtOnce(publisher)
        self._tasks: set[asyncio.Task[None]] = set()

    async def settle(self, ids: Iterable[str]) -> None:
        """Publish what these documents owe, and forget it.

        Raises:
            KafkaError: when the broker does not take all; they stay owed.
        """
        await self.pay(await self._debts.of(ids))

    async def pay(self, debts: Sequence[Debt]) -> None:
        """As `settle`, for documents in hand."""
        if debts:
            await self._publisher.send(_envelopes(debts))
            await self._debts.settled(debts)

    async def offer(self, debt: Debt) -> bool:
        """Publish at once if the broker answers soon; else the sweeper does. Never raises."""
        if not await self._at_once.say(_envelopes([debt]), debt.id):
            return False
        task = asyncio.create_task(self._forget(debt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _forget(self, debt: Debt) -> None:
        try:
            await self._debts.settled([debt])
        except Exception as error:
            log.warning("said_but_still_owed", id=debt.id, error=f"{type(error).__name__}: {error}")

    async def sweep(self, older_than: timedelta = OVERDUE) -> int:
        """Publish a page of what is owed for longer than that; returns how many documents were settled.

        A debt that the broker will never take does not hold up the others.
        """
        debts = await self._debts.overdue(now() - older_than, PAGE)
        try:
            await self.pay(debts)
        except KafkaError as error:
            if is_transient(error):
                raise
            return await self._one_by_one(debts)
        return len(debts)

    async def _one_by_one(self, debts: Sequence[Debt]) -> int:
        settled = 0
        for debt in debts:
            try:
                await self.pay([debt])
                settled += 1
            except KafkaError as error:
                if is_transient(error):
                    raise
                log.exception("unpublishable", id=debt.id)
        return settled

    async def run(self) -> None:
        """Sweep until cancelled; servers that are away are waited for."""
        await every(TICK_SECONDS, self._sweep_all, name="outbox")

    async def _sweep_all(self) -> None:
        while await self.sweep() == PAGE:
            pass


class MongoDebts(Debts):
    """Documents with a field `owed` in a collection that has `OWED_INDEX`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._commit = guarded_writes(collection)

    async def of(self, ids: Iterable[str]) -> list[Debt]:
        """One round trip."""
        return _debts(await find_by_id(self._collection, ids, {"owed": 1}))

    async def overdue(self, before: datetime, limit: int) -> list[Debt]:
        """One round trip, by index."""
        due = self._collection.find({"owed.at": due_by(before)}, {"owed": 1}).sort("owed.at", 1)
        return _debts(await due.limit(limit).to_list(None))

    async def settled(self, debts: Sequence[Debt]) -> None:
        """Guarded by the time of each debt; shares bulk writes with other callers."""
        forget = {"$unset": {"owed": ""}}
        await asyncio.gather(
            *(
                self._commit.write(UpdateOne({"_id": debt.id, "owed.at": debt.owed.at}, forget))
                for debt in debts
            )
        )


def _envelopes(debts: Sequence[Debt]) -> list[Envelope]:
    return [message.envelope() for debt in debts for message in debt.owed.messages]


def _debts(documents: Iterable[Mapping[str, Any]]) -> list[Debt]:
    return [Debt(id=document["_id"], owed=document["owed"]) for document in documents if document.get("owed")]
