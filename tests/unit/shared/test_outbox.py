"""An outbox publishes entries at once or later; one that fails does not stop the others."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.envelope import Envelope
from shared.ids import uuid7
from shared.outbox import Outbox, OutboxEntry, PendingEntry, outbox_entry
from tests.fakes.outbox import BrokerAway, FakeBroker, FakeOutboxStore

NO_AGE = timedelta(seconds=-1)


def an_entry(store: FakeOutboxStore, age: float = 0.0) -> PendingEntry:
    job_id = uuid7()
    cancel = GenerationCancel(job_id=job_id, tenant="acme")
    outbox = outbox_entry(cancel, source="test", trace=None, at=now() - timedelta(seconds=age))
    store.entries[job_id] = OutboxEntry.model_validate(outbox)
    return PendingEntry(id=job_id, entry=store.entries[job_id])


def keys(broker: FakeBroker) -> list[str]:
    return [envelope.key for envelope in broker.sent]


async def test_a_flushed_entry_is_published_and_removed() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    one, two = an_entry(store), an_entry(store)
    await Outbox(store, broker).flush([one.id, uuid7()])
    assert (keys(broker), list(store.entries)) == ([one.id], [two.id])


async def test_an_entry_that_cannot_be_published_stays() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    entry, broker.away = an_entry(store), True
    with pytest.raises(BrokerAway):
        await Outbox(store, broker).flush([entry.id])
    assert list(store.entries) == [entry.id]


async def test_the_sweeper_skips_young_entries_and_publishes_the_oldest_first() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    young, old, oldest = an_entry(store), an_entry(store, age=13), an_entry(store, age=19)
    assert await Outbox(store, broker).sweep() == 2
    assert (keys(broker), list(store.entries)) == ([oldest.id, old.id], [young.id])


async def test_an_entry_published_twice_is_the_same_message() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    entry = an_entry(store)
    outbox = Outbox(store, broker)
    await outbox.publish([entry])
    await outbox.publish([entry])
    first, again = broker.sent
    assert first == again


async def test_an_entry_replaced_during_publication_stays() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    entry = an_entry(store, age=5)
    newer = OutboxEntry(at=now(), messages=entry.entry.messages)
    store.entries[entry.id] = newer
    await Outbox(store, broker).publish([entry])
    assert store.entries == {entry.id: newer}


async def test_an_entry_that_the_broker_rejects_does_not_delay_the_others() -> None:
    store = FakeOutboxStore()
    poison, good = an_entry(store, age=19), an_entry(store, age=13)

    class Picky(FakeBroker):
        async def send(self, envelopes: Sequence[Envelope]) -> None:
            if any(envelope.key == poison.id for envelope in envelopes):
                raise MessageSizeTooLargeError
            await super().send(envelopes)

    broker = Picky()
    assert await Outbox(store, broker).sweep() == 1
    assert (keys(broker), list(store.entries)) == ([good.id], [poison.id])
