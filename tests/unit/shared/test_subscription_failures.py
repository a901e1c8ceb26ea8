"""A transient failure is retried, then its partition is paused while others go on; nothing is lost."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from pymongo.errors import AutoReconnect

from shared.errors import Backpressure, TransientError
from shared.observability import metrics
from tests.fakes.kafka import raw_record
from tests.fakes.waiting import until
from tests.unit.shared.subscribed import ONE, TOPIC, ZERO, Bench, said


def away() -> Exception:
    return AutoReconnect("the database is away")


async def test_a_transient_failure_is_tried_again_in_place() -> None:
    bench = Bench()
    failures = [TransientError("busy"), TransientError("still busy")]

    def trouble() -> Exception:
        error = failures.pop()
        if not failures:
            del bench.troubles["a"]
        return error

    bench.troubles["a"] = trouble
    await bench.consume(said("a", 7), said("b", 8))
    assert len(bench.batches) == 3
    assert bench.journal == ["sent 2", "committed"]
    assert not bench.subscription.paused


async def test_a_partition_that_keeps_failing_is_paused_while_the_other_is_committed() -> None:
    bench = Bench()
    bench.troubles["stuck"] = away
    await bench.consume(said("a", 7), said("stuck", 8), said("x", 3, partition=1))
    assert bench.consumer.committed == {ONE: 4}
    assert bench.consumer.sought == {ZERO: 7}, "all of it is read again"
    assert bench.consumer.paused == bench.subscription.paused == {ZERO}
    assert bench.answers() == 1


async def test_a_transient_failure_dead_letters_no_message() -> None:
    bench = Bench()
    bench.troubles["stuck"] = away
    await bench.consume(said("stuck", 7))
    assert bench.sender.sent == []
    assert bench.consumer.committed == {}


async def test_a_paused_partition_is_read_again_after_its_pause() -> None:
    bench = Bench()
    bench.troubles["stuck"] = away
    await bench.consume(said("stuck", 7))
    await asyncio.wait_for(bench.consumer.resumed.wait(), 5)
    assert bench.consumer.paused == set()
    del bench.troubles["stuck"]
    await bench.consume(said("stuck", 7))
    assert bench.consumer.committed == {ZERO: 8}


async def test_a_paused_partition_is_counted_until_it_is_handled_or_revoked() -> None:
    bench = Bench()
    waiting = metrics.partitions_paused.labels(bench.sender.source, TOPIC)._value
    before = waiting.get()
    bench.troubles["stuck"] = away
    for _ in range(2):
        await bench.consume(said("stuck", 7), said("stuck", 3, partition=1))
        await until(lambda: not bench.consumer.paused)
        assert (len(bench.subscription.paused), waiting.get()) == (2, before + 2), "also between two tries"
    await bench.rebalance.on_partitions_revoked([ONE])
    del bench.troubles["stuck"]
    await bench.consume(said("stuck", 7))
    assert (len(bench.subscription.paused), waiting.get()) == (0, before)


async def test_backpressure_pauses_its_partition_without_failure_and_others_are_handled() -> None:
    bench = Bench()
    bench.troubles["much"] = lambda: Backpressure("40000 are held")
    await bench.consume(said("much", 7), said("x", 3, partition=1))
    assert len(bench.batches) == 3, "nothing is tried again in place"
    assert (bench.consumer.sought, bench.consumer.paused) == ({ZERO: 7}, {ZERO})
    assert bench.consumer.committed == {ONE: 4}
    assert not bench.subscription.paused
    await until(lambda: not bench.consumer.paused)


async def test_a_dead_letter_is_counted_once_when_its_batch_is_retried() -> None:
    bench = Bench()
    count = metrics.dead_letters.labels(bench.sender.source, "not_json")._value
    before = count.get()
    bench.sender.failures = [KafkaConnectionError("away")] * 2
    await bench.consume(raw_record(TOPIC, b"{", offset=3))
    assert count.get() == before + 1


async def test_a_paused_partition_that_was_revoked_is_not_resumed() -> None:
    bench = Bench()
    bench.troubles["stuck"] = away
    await bench.consume(said("stuck", 7))
    bench.consumer.assigned.discard(ZERO)
    await bench.rebalance.on_partitions_revoked([ZERO])
    assert not bench.subscription.paused
    await asyncio.sleep(0.01)
    assert not bench.consumer.resumed.is_set()


@pytest.mark.parametrize("failure", [KafkaConnectionError("away"), MessageSizeTooLargeError("refused")])
async def test_a_batch_without_acknowledgement_is_not_committed(failure: Exception) -> None:
    bench = Bench()
    bench.sender.failures = [failure] * 10
    await bench.consume(said("a", 7), raw_record(TOPIC, b"{", partition=1, offset=3))
    assert bench.consumer.committed == {}
    assert bench.consumer.sought == {ZERO: 7, ONE: 3}


async def test_a_failed_publish_is_tried_again_with_all_outputs() -> None:
    bench = Bench()
    bench.sender.failures = [KafkaConnectionError("away")]
    await bench.consume(said("a", 7), said("b", 8))
    assert bench.journal == ["sent 2", "committed"]
