"""A batch publishes and commits nothing for a revoked partition; its new owner does that."""

import asyncio

import pytest
from aiokafka import TopicPartition

from tests.fakes.kafka import raw_record
from tests.unit.shared.subscribed import ONE, TOPIC, ZERO, Bench, said


async def interrupted(bench: Bench, *lost: TopicPartition) -> None:
    """A batch on two partitions, of which some are lost while the handler is at work."""
    bench.may_go_on.clear()
    batch = asyncio.create_task(bench.consume(said("a", 7), said("x", 3, partition=1), said("b", 8)))
    await bench.under_way.wait()
    await bench.rebalance.on_partitions_revoked(lost)
    bench.consumer.assigned -= set(lost)
    bench.may_go_on.set()
    await batch


async def test_a_lost_partition_is_neither_published_nor_committed() -> None:
    bench = Bench()
    await interrupted(bench, ZERO)
    assert bench.answers() == 1
    assert bench.consumer.committed == {ONE: 4}


async def test_a_batch_that_lost_all_partitions_publishes_nothing() -> None:
    bench = Bench()
    await interrupted(bench, ZERO, ONE)
    assert bench.journal == []
    assert bench.consumer.sought == {}


async def test_the_dead_letters_of_a_lost_partition_are_not_published() -> None:
    bench = Bench()
    bench.may_go_on.clear()
    poison = raw_record(TOPIC, b"{", offset=7)
    batch = asyncio.create_task(bench.consume(poison, said("x", 3, partition=1)))
    await bench.under_way.wait()
    await bench.rebalance.on_partitions_revoked([ZERO])
    bench.may_go_on.set()
    await batch
    assert bench.reasons() == []


async def test_a_partition_that_is_assigned_again_is_handled_again() -> None:
    bench = Bench()
    await interrupted(bench, ZERO)
    bench.consumer.assigned.add(ZERO)
    await bench.rebalance.on_partitions_assigned([ZERO])
    await bench.consume(said("a", 7), said("b", 8))
    assert bench.answers() == 3
    assert bench.consumer.committed == {ZERO: 9, ONE: 4}


async def test_a_batch_publishes_nothing_for_a_partition_that_was_lost_and_assigned_again() -> None:
    bench = Bench()
    bench.may_go_on.clear()
    batch = asyncio.create_task(bench.consume(said("a", 7), said("x", 3, partition=1)))
    await bench.under_way.wait()
    await bench.rebalance.on_partitions_revoked([ZERO])
    await bench.rebalance.on_partitions_assigned([ZERO])  # another has committed further since
    bench.may_go_on.set()
    await batch
    assert bench.answers() == 1
    assert bench.consumer.committed == {ONE: 4}


async def test_a_lost_partition_is_not_paused() -> None:
    bench = Bench()
    bench.troubles["a"] = lambda: TimeoutError("away")
    bench.may_go_on.clear()
    batch = asyncio.create_task(bench.consume(said("a", 7)))
    await bench.under_way.wait()
    await bench.rebalance.on_partitions_revoked([ZERO])
    await bench.rebalance.on_partitions_assigned([ZERO])
    bench.may_go_on.set()
    await batch
    assert bench.consumer.sought == {}


async def test_a_rebalance_waits_for_the_batch_in_hand() -> None:
    bench = Bench()
    bench.may_go_on.clear()
    batch = asyncio.create_task(bench.consume(said("a", 7)))
    await bench.under_way.wait()
    rebalance = asyncio.create_task(bench.rebalance.on_partitions_revoked([ZERO]))
    await asyncio.sleep(0)
    bench.may_go_on.set()
    await rebalance
    assert batch.done() or bench.consumer.committed == {ZERO: 8}
    await batch
    assert bench.journal == ["sent 1", "committed"]


@pytest.mark.parametrize("lost", [ZERO, ONE])
async def test_a_rebalance_between_batches_takes_nothing_from_the_next(lost: TopicPartition) -> None:
    bench = Bench()
    await bench.rebalance.on_partitions_revoked([lost])
    await bench.rebalance.on_partitions_assigned([lost])
    await bench.consume(said("a", 7), said("x", 3, partition=1))
    assert bench.consumer.committed == {ZERO: 8, ONE: 4}
