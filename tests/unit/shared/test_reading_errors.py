"""Errors of every kind are visible, once per cause and place, and hide nothing else."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.pause_reasons import PauseReasons, Reason
from tests.fakes.log import Log, a_batch
from tests.unit.shared.reading import reading, records

ZERO, ONE = TopicPartition("t", 0), TopicPartition("u", 0)
AUTHORIZATION_FAILED, STORAGE_ERROR = 29, 56


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


def _told(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    return [line for line in lines if line["event"] == "consumer_cannot_read"]


class Changed:
    """Stands before a part of the client that another version of it has changed."""

    def __init__(self, part: object) -> None:
        self._part = part
        self.works = False

    def __getattr__(self, name: str) -> object:
        if name == "fetched_records" and not self.works:
            raise AttributeError("fetched_records is gone")
        return getattr(self._part, name)


async def test_an_error_that_nobody_expected_is_a_problem_until_it_is_over(
    lines: list[dict[str, object]],
) -> None:
    log = Log(ZERO)
    log.append(ZERO, a_batch(b"a"))
    async with reading(log) as consumer:
        changed = Changed(consumer._fetcher)
        consumer._fetcher = changed
        seen = asyncio.create_task(records(consumer, until=b"a"))
        await asyncio.sleep(20)
        assert "AttributeError: fetched_records is gone" in str(consumer.problem())
        assert len(_told(lines)) == 1
        assert isinstance(_told(lines)[0]["exc_info"], AttributeError)
        changed.works = True
        await seen
        assert consumer.problem() is None


async def test_a_start_that_fails_unexpectedly_is_a_problem_and_tried_again() -> None:
    log = Log(ZERO)
    consumer = BatchConsumer(service="test", group_id=None)
    consumer.assign([ZERO])
    client = consumer._client
    consumer._client = None
    starting = asyncio.create_task(consumer.start())
    await asyncio.sleep(1)
    assert "AttributeError" in str(consumer.problem())
    async with reading(log) as other:
        consumer._client = other._client
        await starting
        await consumer.stop()
    await client.close()


async def test_each_topic_that_may_not_be_read_is_named_once(lines: list[dict[str, object]]) -> None:
    log = Log(ZERO, ONE)
    log.errors |= {ZERO: AUTHORIZATION_FAILED, ONE: AUTHORIZATION_FAILED}
    async with reading(log) as consumer:
        seen = asyncio.create_task(consumer.getmany())
        await asyncio.sleep(30)
        assert sorted(str(line["topic"]) for line in _told(lines)) == ["t", "u"]
        assert "t[0] offset 0" in str(consumer.problem())
        assert "u[0] offset 0" in str(consumer.problem())
        log.errors.clear()
        await asyncio.sleep(15)
        assert consumer.problem(time.time() + 11) is None, "although no record came"
        seen.cancel()


async def test_two_causes_in_turn_are_logged_once_each(lines: list[dict[str, object]]) -> None:
    log = Log(ZERO)
    async with reading(log) as consumer:
        await asyncio.sleep(0.1)
        for _ in range(5):
            consumer._failed(RuntimeError("one"))
            consumer._failed(ValueError("other"))
        assert [line["cause"] for line in _told(lines)] == ["RuntimeError", "ValueError"]


async def test_a_code_that_the_broker_answers_with_is_named(lines: list[dict[str, object]]) -> None:
    log = Log(ZERO)
    log.errors[ZERO] = STORAGE_ERROR
    async with reading(log) as consumer:
        seen = asyncio.create_task(records(consumer, until=b"a"))
        await asyncio.sleep(5)
        assert consumer.problem() == "t[0]: the broker answers fetches with KafkaStorageError (code 56)"
        assert [line["cause"] for line in _told(lines)] == ["KafkaStorageError"]
        log.errors.clear()
        log.append(ZERO, a_batch(b"a"))
        await seen
        assert consumer.problem(time.time() + 1) is None


def test_a_partition_resumes_when_its_last_reason_is_gone() -> None:
    paused: set[TopicPartition] = set()
    reasons = PauseReasons(lambda: set(paused), paused.add, paused.discard)
    reasons.add(Reason.HANDLING, [ZERO, ONE])
    reasons.add(Reason.DAMAGED, [ZERO])
    reasons.add(Reason.REQUESTED, [ZERO])
    reasons.remove(Reason.HANDLING)
    assert paused == {ZERO}
    reasons.remove(Reason.REQUESTED, [ZERO])
    assert paused == {ZERO}, "its batch is fetched again later"
    reasons.remove(Reason.DAMAGED, [ZERO])
    assert not paused


def test_a_partition_that_comes_back_has_no_reasons_of_before() -> None:
    paused: set[TopicPartition] = set()
    reasons = PauseReasons(lambda: set(paused), paused.add, paused.discard)
    reasons.add(Reason.REQUESTED, [ZERO])
    paused.clear()  # as in a new assignment
    reasons.add(Reason.HANDLING, [ZERO])
    reasons.remove(Reason.HANDLING)
    assert not paused
