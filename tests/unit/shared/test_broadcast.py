"""A broadcast reads within bounds, and is neither lost nor silent when something fails."""

import asyncio
from typing import Any

from aiokafka import TopicPartition

from contracts.operations import ProviderHealth
from shared.clock import now
from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.broadcast import READ_BYTES, Broadcast
from shared.settings import KafkaSettings
from tests.fakes.log import FakeClient, Log, a_batch, damaged
from tests.fakes.waiting import background

OFFSET_OUT_OF_RANGE = 1
TP = TopicPartition(ProviderHealth.topic, 0)


def _broadcast(log: Log, sizes: list[int], positioned: list[int]) -> Broadcast:
    def consumer(**options: Any) -> BatchConsumer:
        made = BatchConsumer(**options)
        made._client = FakeClient(log, {TP: []})
        return made

    return Broadcast(
        KafkaSettings(bootstrap="unused:1"),
        [ProviderHealth],
        on_messages=lambda batch: sizes.append(sum(len(each.message.model_dump_json()) for each in batch)),
        on_positioned=lambda: positioned.append(1),
        consumer=consumer,
    )


def _event(padding: int) -> bytes:
    event = ProviderHealth(provider="fal", state="open", reason="x" * padding, at=now())
    return event.model_dump_json().encode()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.1)


async def test_a_read_is_bounded_however_much_a_batch_unpacks_to() -> None:
    log, sizes, positioned = Log(TP), list[int](), list[int]()
    log.append(TP, *(a_batch(*([_event(50_000)] * 40), codec="gzip") for _ in range(5)))
    async with background(_broadcast(log, sizes, positioned).run):
        await _until(lambda: sum(sizes) >= 5 * 40 * 50_000)
    assert positioned == [1]
    assert max(sizes) <= READ_BYTES + 60_000, "one record more than fits"


async def test_a_failure_is_in_health_until_reading_starts_again_at_the_end() -> None:
    log, sizes, positioned = Log(TP), list[int](), list[int]()
    feed = _broadcast(log, sizes, positioned)
    assert await feed.problem() == "not reading yet"
    async with background(feed.run):
        await _until(lambda: positioned)
        assert await feed.problem() is None
        log.errors[TP] = OFFSET_OUT_OF_RANGE
        await _until(lambda: len(positioned) > 1)
        assert "OffsetOutOfRangeError" in str(await feed.problem())
        log.errors.clear()
        log.append(TP, a_batch(_event(1)))
        await _until(lambda: sizes)
        assert await feed.problem() is None


async def test_a_batch_that_cannot_be_read_is_skipped() -> None:
    log, sizes, positioned = Log(TP), list[int](), list[int]()
    log.append(TP, damaged(a_batch(_event(1))), a_batch(_event(1)))
    async with background(_broadcast(log, sizes, positioned).run):
        await _until(lambda: sizes)
    assert positioned == [1], "reading goes on where it was"
