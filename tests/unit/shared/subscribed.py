"""A subscription between a fake consumer and a fake sender, with waits of milliseconds."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from contracts.generation import GenerationCancel
from contracts.jobs import JobDue
from shared.envelope import Outgoing, Received, caused_by
from tests.fakes.builders import START, a_cancel, due
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record
from tests.fakes.subscriptions import FakeKafka

TOPIC = GenerationCancel.topic
ZERO, ONE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


def said(text: str, offset: int, *, partition: int = 0) -> ConsumerRecord:
    """A good record with this reason."""
    return a_record(a_cancel(reason=text), offset=offset, partition=partition)


class Bench:
    """Its handler answers each message with one; `troubles` are raised, by the reason that causes them."""

    def __init__(self, **options: Any) -> None:
        self.journal: list[str] = []
        self.consumer = FakeConsumer(self.journal, {ZERO, ONE, TopicPartition(JobDue.topic, 0)})
        self.sender = FakeSender(self.journal)
        self.troubles: dict[str, Callable[[], Exception]] = {}
        self.handled: list[str] = []
        self.batches: list[Sequence[Received[Any]]] = []
        self.under_way, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.may_go_on.set()
        self._kafka = FakeKafka(self.sender)
        self._kafka.subscribe(GenerationCancel | JobDue, group="bench", **options)(self.handle)
        self.subscription = self._kafka.subscriptions["bench"]
        self.rebalance = self.subscription.in_hand

    async def handle(self, batch: Sequence[Received[Any]]) -> Iterable[Outgoing]:
        self.batches.append(batch)
        self.under_way.set()
        await self.may_go_on.wait()
        outputs: list[Outgoing] = []
        for given in batch:
            text = getattr(given.message, "reason", "due")
            if text in self.troubles:
                raise self.troubles[text]()
            outputs += caused_by(given, self.answer(given))
        self.handled += [getattr(given.message, "reason", "due") for given in batch]
        return outputs

    def answer(self, given: Received[Any]) -> JobDue:
        return due(START, job_id=given.message.job_id)

    async def consume(self, *records: ConsumerRecord) -> None:
        await self._kafka.deliver(records, self.consumer)

    def answers(self) -> int:
        return sum(envelope.topic == JobDue.topic for envelope in self.sender.sent)

    def reasons(self) -> list[str]:
        """Return the reasons of the dead letters."""
        return [letter.reason for letter in self.sender.letters()]
