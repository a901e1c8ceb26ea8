"""Batches of cancels, and the next middleware as the one under test sees it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiokafka import TopicPartition
from faststream import ContextRepo

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.envelope import Outgoing
from shared.kafka.decoding import Unreadable, decode
from shared.kafka.pipeline.batch import Batch, Entry
from shared.kafka.pipeline.middleware import BatchMiddleware
from tests.fakes.builders import a_cancel
from tests.fakes.kafka import FakeConsumer, a_record, raw_record

TOPIC = GenerationCancel.topic
ZERO, ONE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
KINDS = {TOPIC: GenerationCancel}

Middleware = TypeVar("Middleware", bound=BatchMiddleware)


def good(text: str, offset: int, partition: int = 0) -> Entry:
    """A valid message with this reason."""
    record = a_record(a_cancel(reason=text), offset=offset, partition=partition)
    return Entry(record, decode(record, KINDS, 0, now()))


def invalid(offset: int, partition: int = 0) -> Entry:
    """A record that is no message."""
    record = raw_record(TOPIC, b"{", offset=offset, partition=partition)
    return Entry(record, unreadable=Unreadable("not_json", "body: is not valid JSON"))


def batch_of(*entries: Entry, consumer: FakeConsumer | None = None) -> Batch:
    return Batch(entries, consumer or FakeConsumer([], {ZERO, ONE}))


def make(kind: Callable[..., Middleware], **options: Any) -> Middleware:
    """A middleware as FastStream makes one for each batch."""
    return kind(None, context=ContextRepo(), **options)


class Next:
    """The next middleware. It notes what it was given, and raises `failures` in turn.

    Args:
        poison: reasons of messages that make their batch fail, with the error.
    """

    def __init__(self, *failures: Exception, poison: dict[str, Exception] | None = None) -> None:
        self.batches: list[Batch] = []
        self.passed: list[list[str]] = []
        """Reasons of messages that were handled, and causes of answers."""
        self._failures = list(failures)
        self._poison = poison or {}

    async def __call__(self, batch: Batch) -> Sequence[Outgoing]:
        self.batches.append(batch)
        reasons = [each.message.reason for each in batch.messages]
        if self._failures:
            raise self._failures.pop(0)
        for reason in reasons:
            if reason in self._poison:
                raise self._poison[reason]
        self.passed.append([*reasons, *(f"answer {each.cause}" for each in batch.answers)])
        return []
