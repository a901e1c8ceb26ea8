"""An outbox publishes at once if the broker answers soon; the sweeper publishes the rest."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from structlog.testing import capture_logs

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.envelope import Envelope
from shared.ids import uuid7
from shared.outbox import (
    AT_ONCE_SECONDS,
    OVERDUE,
    PAGE,
    TICK_SECONDS,
    ImmediatePublisher,
    Outbox,
    OutboxEntry,
    PendingEntry,
    outbox_entry,
)
from tests.fakes.outbox import FakeBroker, FakeOutboxStore
from tests.fakes.waiting import background, until


def stored(store: FakeOutboxStore, age: timedelta = timedelta(0)) -> PendingEntry:
    """Store an entry of this age and return it."""
    key = uuid7()
    cancel = GenerationCancel(job_id=key, tenant="acme")
    fields = outbox_entry(cancel, source="test", trace=None, at=now() - age)
    store.entries[key] = OutboxEntry.model_validate(fields)
    return PendingEntry(id=key, entry=store.entries[key])


class SlowBroker(FakeBroker):
    """Acknowledges after a delay."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        await asyncio.sleep(self.seconds)
        await super().send(envelopes)


class FailingStore(FakeOutboxStore):
    """Removes nothing."""

    async def remove(self, entries: Sequence[PendingEntry]) -> None:
        raise ConnectionError("the database is away")


async def test_an_entry_is_published_at_once_and_then_removed() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    entry = stored(store)
    assert await Outbox(store, broker).try_publish(entry) is True
    await until(lambda: not store.entries)
    assert [envelope.key for envelope in broker.sent] == [entry.id]


async def test_an_entry_stays_if_the_broker_does_not_answer() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    entry, broker.away = stored(store), True
    assert await Outbox(store, broker).try_publish(entry) is False
    await asyncio.sleep(1)
    assert list(store.entries) == [entry.id]


async def test_an_entry_that_cannot_be_removed_is_published_all_the_same() -> None:
    store, broker = FailingStore(), FakeBroker()
    with capture_logs() as logs:
        assert await Outbox(store, broker).try_publish(stored(store)) is True
        await asyncio.sleep(1)
    assert [line["event"] for line in logs] == ["outbox_entry_not_removed"]
    assert len(store.entries) == 1


@pytest.mark.parametrize(
    ("seconds", "published"), [(AT_ONCE_SECONDS - 0.1, True), (AT_ONCE_SECONDS + 0.1, False)]
)
async def test_a_caller_waits_for_a_slow_broker_for_two_seconds(seconds: float, published: bool) -> None:
    assert await ImmediatePublisher(SlowBroker(seconds)).try_publish([], "x") is published


async def test_the_broker_is_skipped_for_a_second_after_a_failure() -> None:
    broker, clock = FakeBroker(), [100.0]
    publisher, broker.away = ImmediatePublisher(broker, lambda: clock[0]), True
    assert await publisher.try_publish([], "x") is False
    broker.away, clock[0] = False, 100.0 + TICK_SECONDS - 0.001
    assert await publisher.try_publish([], "x") is False
    assert broker.tries == 1
    clock[0] = 100.0 + TICK_SECONDS
    assert await publisher.try_publish([], "x") is True


async def test_nothing_is_sent_for_documents_without_an_entry() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    await Outbox(store, broker).flush([uuid7()])
    assert broker.tries == 0


async def test_the_sweeper_leaves_entries_of_the_last_ten_seconds_to_their_writer() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    young = stored(store, OVERDUE - timedelta(seconds=1))
    assert await Outbox(store, broker).sweep() == 0
    assert list(store.entries) == [young.id]


async def test_the_sweeper_publishes_page_after_page() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    for _ in range(PAGE + 1):
        stored(store, age=timedelta(minutes=1))
    async with background(Outbox(store, broker).run):
        await until(lambda: not store.entries)
    assert (len(broker.sent), broker.tries) == (PAGE + 1, 2)


async def test_the_sweeper_publishes_entries_that_come_later() -> None:
    store, broker = FakeOutboxStore(), FakeBroker()
    async with background(Outbox(store, broker).run):
        await asyncio.sleep(5)
        stored(store, age=timedelta(minutes=1))
        await until(lambda: not store.entries)
    assert broker.tries == 1


@pytest.mark.parametrize("at", [1, 2])
async def test_a_transient_failure_of_the_broker_ends_a_sweep(at: int) -> None:
    store = FakeOutboxStore()
    for age in (19, 13):
        stored(store, age=timedelta(seconds=age))

    class Broken(FakeBroker):
        async def send(self, envelopes: Sequence[Envelope]) -> None:
            self.tries += 1
            raise MessageSizeTooLargeError if self.tries < at else KafkaConnectionError

    broker = Broken()
    with pytest.raises(KafkaConnectionError):
        await Outbox(store, broker).sweep()
    assert (broker.tries, len(store.entries)) == (at, 2)
