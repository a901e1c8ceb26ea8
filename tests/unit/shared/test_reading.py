"""A consumer never stops reading in silence, and no batch stops it for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.consumer_checks import SILENCE_SECONDS
from shared.kafka.unpacking import UnreadBatch
from shared.observability import metrics
from tests.fakes.log import Log, a_batch, changed, damaged

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)
AUTHORIZATION_FAILED = 29


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


@asynccontextmanager
async def _reading(log: Log) -> AsyncIterator[BatchConsumer]:
    consumer = await log.consumer()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _records(consumer: BatchConsumer, count: int) -> list[object]:
    """The values of the next records, and of batches that could not be read their reasons."""
    values: list[object] = []
    async with asyncio.timeout(120):
        while len(values) < count:
            for records in (await consumer.getmany()).values():
                values += [each.reason if isinstance(each, UnreadBatch) else each.value for each in records]
    return values


def _errors(cause: str) -> float:
    return float(metrics.consumer_errors.labels("test", "None", cause)._value.get())


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_read(codec: str) -> None:
    log = Log(ZERO)
    log.append(ZERO, a_batch(b"a" * 100_000, b"b", codec=codec))
    async with _reading(log) as consumer:
        assert await _records(consumer, 2) == [b"a" * 100_000, b"b"]
        assert consumer.problem() is None


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_batch_that_unpacks_to_too_much_is_passed_over_and_the_partition_goes_on(codec: str) -> None:
    log, before = Log(ZERO), _errors("too_large")
    log.append(ZERO, a_batch(b"first"), a_batch(b"a" * 40_000_000, codec=codec), a_batch(b"last"))
    async with _reading(log) as consumer:
        assert await _records(consumer, 3) == [b"first", "too_large", b"last"]
    assert _errors("too_large") == before + 1


@pytest.mark.parametrize(
    "bad",
    [
        changed(a_batch(b"x", codec="gzip"), body=b"no gzip at all"),
        changed(a_batch(b"x", codec="lz4"), body=b"no lz4 at all"),
        changed(
            a_batch(b"x" * 9, codec="snappy"),
            body=b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xfc",
        ),
        changed(a_batch(b"x"), codec=6),
        changed(a_batch(b"x"), body=b"\x7f" * 30),
        changed(a_batch(b"x"), body=b""),
    ],
    ids=["gzip", "lz4", "a block of negative length", "unknown codec", "records", "no records"],
)
async def test_a_batch_that_cannot_be_unpacked_is_passed_over(bad: bytes) -> None:
    log = Log(ZERO)
    log.append(ZERO, a_batch(b"a", b"b"), bad, a_batch(b"c"))
    async with _reading(log) as consumer:
        assert await _records(consumer, 4) == [b"a", b"b", "corrupt_batch", b"c"]


async def test_a_damaged_batch_is_fetched_again_and_read_when_it_is_whole() -> None:
    log, whole = Log(ZERO, ONE), a_batch(b"b")
    log.append(ZERO, a_batch(b"a"), damaged(whole), a_batch(b"c"))
    async with _reading(log) as consumer:
        assert await _records(consumer, 1) == [b"a"]
        log.append(ONE, a_batch(b"other"))
        assert await _records(consumer, 1) == [b"other"], "the other partition goes on"
        assert str(consumer.problem()).startswith("t[0] offset 1 cannot be read: ")
        log.replace(ZERO, 1, whole)
        assert await _records(consumer, 2) == [b"b", b"c"]
        assert consumer.problem() is None


async def test_a_batch_that_stays_damaged_is_passed_over_and_logged_once(
    lines: list[dict[str, object]],
) -> None:
    log, before = Log(ZERO), _errors("WrongChecksum")
    log.append(ZERO, a_batch(b"a"), damaged(a_batch(b"b")), a_batch(b"c"))
    async with _reading(log) as consumer:
        assert await _records(consumer, 3) == [b"a", "corrupt_batch", b"c"]
    told = [line for line in lines if line["event"] == "consumer_cannot_read"]
    assert [(line["topic"], line["partition"], line["offset"]) for line in told] == [("t", 0, 1)]
    assert _errors("WrongChecksum") == before + 5
    (passed,) = (line for line in lines if line["event"] == "batch_skipped")
    assert (passed["partition"], passed["offset"]) == (0, 1)


async def test_a_topic_that_may_not_be_read_is_named_until_it_may(lines: list[dict[str, object]]) -> None:
    log = Log(ZERO, ONE)
    log.append(ZERO, a_batch(b"a"))
    log.errors[ZERO] = AUTHORIZATION_FAILED
    async with _reading(log) as consumer:
        reading = asyncio.create_task(_records(consumer, 1))
        await asyncio.sleep(20)
        assert "TopicAuthorizationFailedError" in str(consumer.problem())
        assert sum(line["event"] == "consumer_cannot_read" for line in lines) == 1
        assert log.fetches < 1000, "it is not asked without a pause"
        log.errors.clear()
        assert await reading == [b"a"]
        assert consumer.problem(time.time() + 11) is None


@pytest.mark.parametrize("turn", range(3))
async def test_an_error_of_one_partition_loses_nothing_of_another(turn: int) -> None:
    log, values = Log(ZERO, ONE), [b"%d" % number for number in range(5)]
    async with _reading(log) as consumer:
        await asyncio.sleep(1)
        log.errors[ZERO] = AUTHORIZATION_FAILED
        log.append(ONE, a_batch(*values))
        await asyncio.sleep(1)  # both are there before anything is read
        consumer._turn = turn
        assert await _records(consumer, 5) == values


async def test_a_broker_that_does_not_answer_is_a_problem_although_nothing_is_raised() -> None:
    log = Log(ZERO)
    async with _reading(log) as consumer:
        reading = asyncio.create_task(_records(consumer, 1))
        await asyncio.sleep(1)
        assert consumer.problem() is None
        assert consumer.problem(time.time() + SILENCE_SECONDS + 5) == "no successful fetch for 15 s: t[0]"
        log.append(ZERO, a_batch(b"a"))
        await reading


async def test_a_topic_that_is_gone_is_named() -> None:
    log = Log(ZERO)
    async with _reading(log) as consumer:
        await asyncio.sleep(0.1)
        consumer._client.cluster._known = {}
        assert consumer.problem() == "the broker has no topic t"


async def test_a_consumer_whose_fetching_died_says_so_to_the_process() -> None:
    log, broken = Log(ZERO), list[BaseException]()
    async with _reading(log) as consumer:
        consumer._on_broken = broken.append
        log.failure = RuntimeError("a bug in the client")
        reading = asyncio.create_task(_records(consumer, 1))
        await asyncio.sleep(5)
        assert "is broken" in str(consumer.problem())
        assert [str(error.__cause__) for error in broken] == ["a bug in the client"]
        reading.cancel()


async def test_a_read_hands_out_a_bounded_amount_and_the_rest_comes_with_the_next() -> None:
    log = Log(ZERO, ONE)
    values = [bytes([number]) * 5_000_000 for number in range(3)]
    for tp in (ZERO, ONE):
        log.append(tp, *(a_batch(*values, codec="zstd") for _ in range(2)))
    async with _reading(log) as consumer:
        sizes, seen = [], 0
        while seen < 12:
            records = [each for part in (await consumer.getmany()).values() for each in part]
            sizes.append(sum(len(each.value) for each in records))
            seen += len(records)
    assert seen == 12, "each record once"
    assert max(sizes) <= 20_000_000
