"""FastStream's custom parser and decoder for whole batches."""

from collections.abc import Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faststream.kafka import KafkaMessage

from contracts.base import Message
from shared.clock import Clock
from shared.kafka.decoding import Unreadable, decode
from shared.kafka.pipeline.batch import Batch, Entry


class BatchParser:
    """Wraps the records of one read without looking into them.

    Args:
        consumer: returns the consumer that the records came from.
    """

    def __init__(self, consumer: Callable[[], AIOKafkaConsumer]) -> None:
        self._consumer = consumer

    async def parse(self, records: Sequence[ConsumerRecord]) -> KafkaMessage:
        """Return the FastStream message for a batch. FastStream's own parser fails on non-UTF-8 headers."""
        first = records[0]
        return KafkaMessage(
            raw_message=tuple(records),
            body=[record.value or b"" for record in records],
            message_id=f"{first.topic}/{first.partition}/{first.offset}",
            consumer=self._consumer(),
        )


class BatchDecoder:
    """Decodes records into a batch. An invalid record does not fail the others."""

    def __init__(self, kinds: Mapping[str, type[Message]], now: Clock) -> None:
        self._kinds = kinds
        self._now = now

    async def decode(self, message: KafkaMessage) -> Batch:
        """Return the batch of a FastStream message."""
        records: Sequence[ConsumerRecord] = message.raw_message
        starts: dict[tuple[str, int], int] = {}
        read_at = self._now()
        entries = []
        for record in records:
            start = starts.setdefault((record.topic, record.partition), record.offset)
            try:
                entries.append(Entry(record, decode(record, self._kinds, start, read_at)))
            except Unreadable as unreadable:
                entries.append(Entry(record, unreadable=unreadable))
            except Exception as error:  # whatever a validator raises must not stop a partition
                odd = Unreadable("invalid", f"{type(error).__name__}: {error}")
                entries.append(Entry(record, unreadable=odd))
        return Batch(entries, message.consumer)
