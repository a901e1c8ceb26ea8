"""A batch is handled, its outputs are acknowledged, then exactly its offsets are committed."""

from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from contracts.jobs import JobDue
from contracts.renders import RenderRequested
from shared.envelope import Outgoing, Received
from shared.kafka.subscription import Subscription
from tests.fakes.builders import START, TRACE, due
from tests.fakes.kafka import FakeSender, a_record
from tests.fakes.subscriptions import FakeKafka
from tests.unit.shared.subscribed import ONE, TOPIC, ZERO, Bench, said


async def test_outputs_are_sent_before_the_offsets_are_committed() -> None:
    bench = Bench()
    await bench.consume(said("a", 7), said("b", 8))
    assert bench.journal == ["sent 2", "committed"]
    assert bench.consumer.committed == {ZERO: 9}


async def test_each_partition_of_a_batch_is_committed_with_its_own_offset() -> None:
    bench = Bench()
    timer = a_record(due(START), offset=40)
    await bench.consume(said("a", 7), said("b", 3, partition=1), said("c", 8), timer)
    assert bench.consumer.committed == {ZERO: 9, ONE: 4, TopicPartition(JobDue.topic, 0): 41}


async def test_the_handler_gets_the_batch_in_order_and_knows_where_it_starts() -> None:
    bench = Bench()
    await bench.consume(said("a", 7), said("x", 3, partition=1), said("b", 8))
    (batch,) = bench.batches
    assert bench.handled == ["a", "x", "b"]
    assert [(given.partition, given.offset, given.batch_start) for given in batch] == [
        (0, 7, 7),
        (1, 3, 3),
        (0, 8, 7),
    ]


async def test_outputs_continue_the_trace_of_their_cause() -> None:
    bench = Bench()
    await bench.consume(said("a", 7))
    (envelope,) = bench.sender.sent
    trace_id = dict(envelope.headers)["traceparent"].split(b"-")[1]
    assert trace_id == TRACE.encode().split(b"-")[1]


async def test_a_batch_without_outputs_is_committed_too() -> None:
    bench = Bench()

    async def silent(batch: Sequence[Received[JobDue]]) -> list[Outgoing]:
        return []

    kafka = FakeKafka(bench.sender)
    kafka.subscribe(JobDue, group="silent")(silent)
    await kafka.deliver([a_record(due(START), offset=4)], bench.consumer)
    assert bench.journal == ["committed"]


async def test_a_failed_commit_is_not_a_failure_of_the_batch() -> None:
    bench = Bench()
    bench.consumer.failure = CommitFailedError("rebalanced")
    await bench.consume(said("a", 7))
    assert (bench.answers(), bench.handled, bench.consumer.sought) == (1, ["a"], {})


def test_a_subscription_reads_the_given_topics_or_all_of_its_message_types() -> None:
    bench = Bench()
    assert bench.subscription.topics == (TOPIC, JobDue.topic)
    narrowed = Subscription(RenderRequested, bench.handle, FakeSender([]), topics=["render.requested.fal.v1"])
    assert narrowed.topics == ("render.requested.fal.v1",)
    assert len(Subscription(RenderRequested, bench.handle, FakeSender([])).topics) == 3
