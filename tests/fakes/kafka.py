"""A consumer and a sender that record their calls in one journal."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from contracts.base import Message
from contracts.operations import DeadLetter
from shared.envelope import Envelope, Outgoing, encode
from tests.fakes.builders import TRACE

RECORD_MILLISECONDS = 1_893_499_200_000


def raw_record(
    topic: str,
    value: bytes | None,
    *,
    partition: int = 0,
    offset: int = 0,
    key: bytes = b"",
    headers: Sequence[tuple[str, bytes | None]] = (),
    timestamp: int = RECORD_MILLISECONDS,
) -> ConsumerRecord:
    """Return a record with any bytes."""
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=len(value or b""),
        headers=tuple(headers),
    )


def a_record(
    message: Message, *, partition: int = 0, offset: int = 0, trace: str | None = TRACE
) -> ConsumerRecord:
    """Return a message as a record of the broker."""
    envelope = encode(message, source="upstream", trace=trace)
    return raw_record(
        envelope.topic,
        envelope.body,
        partition=partition,
        offset=offset,
        key=envelope.key.encode(),
        headers=envelope.headers,
    )


class FakeSender:
    """A publisher without a broker. `failures` are raised, one per call of `send`."""

    source = "fake"

    def __init__(self, journal: list[str]) -> None:
        self._journal = journal
        self.sent: list[Envelope] = []
        self.failures: list[Exception] = []

    def encode(self, outgoing: Outgoing) -> Envelope:
        if isinstance(outgoing.message, Envelope):
            return outgoing.message
        return encode(outgoing.message, source=self.source, trace=outgoing.trace)

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent += envelopes
        self._journal.append(f"sent {len(envelopes)}")

    def letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        set_aside = (each for each in self.sent if each.topic == DeadLetter.topic)
        return [DeadLetter.model_validate_json(each.body) for each in set_aside]


class FakeConsumer:
    """A consumer as strict as the real one: it commits only offsets of its own partitions."""

    def __init__(self, journal: list[str], assigned: set[TopicPartition]) -> None:
        self._journal = journal
        self.assigned = assigned
        self.committed: dict[TopicPartition, int] = {}
        self.sought: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.resumed = asyncio.Event()
        self.failure: Exception | None = None

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            raise ValueError(offsets)
        if self.failure:
            raise self.failure
        for tp in offsets:
            self._check(tp)
        self.committed |= offsets
        self._journal.append("committed")

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._check(tp)
        self.sought[tp] = offset

    def pause(self, tp: TopicPartition) -> None:
        self._check(tp)
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self._check(tp)
        self.paused.discard(tp)
        self.resumed.set()

    def _check(self, tp: TopicPartition) -> None:
        if tp not in self.assigned:
            raise IllegalStateError(f"{tp} is not assigned")
