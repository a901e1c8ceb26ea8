"""Outputs are acknowledged, then exactly the offsets of their records are committed."""

from collections.abc import Sequence

import pytest
from aiokafka.errors import CommitFailedError, KafkaConnectionError

from contracts.jobs import JobDue
from shared.envelope import Outgoing, caused_by
from shared.kafka.partitions import PausedPartitions
from shared.kafka.pipeline.batch import Batch, Entry
from shared.kafka.pipeline.in_hand import BatchInHand
from shared.kafka.pipeline.publish import MessageTooLarge, NotPublished, PublishThenCommit
from shared.limits import MAX_MESSAGE_BYTES
from tests.fakes.builders import START, due
from tests.fakes.kafka import FakeConsumer, FakeSender
from tests.unit.shared.pipeline.batches import ONE, ZERO, batch_of, good, make


class Publishing:
    """The middleware with a handler that answers each message."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.sender = FakeSender(self.journal)
        self.consumer = FakeConsumer(self.journal, {ZERO, ONE})
        self.in_hand = BatchInHand(PausedPartitions("test"), revoke_seconds=0.001)
        self.output = due(START)
        self.called = 0

    async def handle(self, *entries: Entry) -> None:
        middleware = make(PublishThenCommit, sender=self.sender, in_hand=self.in_hand)
        await middleware.handle(self._handler, batch_of(*entries, consumer=self.consumer))

    async def _handler(self, batch: Batch) -> Sequence[Outgoing]:
        self.called += 1
        return [output for each in batch.messages for output in caused_by(each, self.output)]


async def test_outputs_are_sent_before_the_offsets_are_committed() -> None:
    publishing = Publishing()
    await publishing.handle(good("a", 7), good("x", 3, partition=1), good("b", 8))
    assert publishing.journal == ["sent 3", "committed"]
    assert publishing.consumer.committed == {ZERO: 9, ONE: 4}
    assert publishing.in_hand.is_done(ZERO, 8)
    assert not publishing.in_hand.is_done(ZERO, 9)


async def test_nothing_is_committed_when_outputs_are_not_acknowledged() -> None:
    publishing = Publishing()
    publishing.sender.failures = [KafkaConnectionError("away")]
    with pytest.raises(NotPublished):
        await publishing.handle(good("a", 7))
    assert publishing.consumer.committed == {}
    assert not publishing.in_hand.is_done(ZERO, 7)


async def test_a_batch_of_answers_does_not_reach_the_handler() -> None:
    publishing = Publishing()
    answered = good("a", 7)._replace(message=None, answer=Outgoing(due(START)))
    await publishing.handle(answered)
    assert (publishing.called, publishing.journal) == (0, ["sent 1", "committed"])


async def test_an_output_that_does_not_fit_into_a_message_is_an_error_of_the_handler() -> None:
    publishing = Publishing()
    publishing.output = JobDue.model_construct(**dict(due(START)) | {"job_id": "x" * MAX_MESSAGE_BYTES})
    with pytest.raises(MessageTooLarge):
        await publishing.handle(good("a", 7))
    assert publishing.journal == []


async def test_nothing_is_published_or_committed_for_a_lost_partition() -> None:
    publishing = Publishing()
    publishing.in_hand.lost.add(ZERO)
    await publishing.handle(good("a", 7), good("x", 3, partition=1))
    assert (publishing.journal, publishing.consumer.committed) == (["sent 1", "committed"], {ONE: 4})


async def test_a_failed_commit_is_not_a_failure() -> None:
    publishing = Publishing()
    publishing.consumer.failure = CommitFailedError("rebalanced")
    await publishing.handle(good("a", 7))
    assert publishing.journal == ["sent 1"]
