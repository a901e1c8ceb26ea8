"""Records of one read, decoded one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.envelope import Outgoing, Received
from shared.kafka.decoding import Unreadable
from shared.kafka.partitions import tp_of


class Entry(NamedTuple):
    """A record: the message in it, or what is published because there is none to handle."""

    record: ConsumerRecord
    message: Received[Any] | None = None
    unreadable: Unreadable | None = None
    answer: Outgoing | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one or several partitions, in order per partition.

    Args:
        consumer: the consumer that read them.
        retry: whether a transient failure is retried in place.
    """

    entries: Sequence[Entry]
    consumer: AIOKafkaConsumer
    retry: bool = True

    @property
    def messages(self) -> list[Received[Any]]:
        """The messages to handle."""
        return [entry.message for entry in self.entries if entry.message]

    @property
    def answers(self) -> list[Outgoing]:
        """Messages to publish for records that are not handled."""
        return [entry.answer for entry in self.entries if entry.answer]

    @property
    def topic(self) -> str:
        """Topic of the first record."""
        return str(self.entries[0].record.topic)

    @property
    def start(self) -> int:
        """Offset of the first record."""
        return int(self.entries[0].record.offset)

    def ends(self) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each partition."""
        records = (entry.record for entry in self.entries)
        last = {(record.topic, record.partition): record.offset for record in records}
        return {TopicPartition(*place): offset + 1 for place, offset in last.items()}

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split into two batches with equal numbers of messages; other records stay in place."""
        places = [place for place, entry in enumerate(self.entries) if entry.message]
        middle = places[len(places) // 2]
        return replace(self, entries=self.entries[:middle]), replace(self, entries=self.entries[middle:])

    def partitions(self) -> dict[TopicPartition, "Batch"]:
        """Split by partition."""
        found: dict[TopicPartition, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(tp_of(entry.record), []).append(entry)
        return {tp: replace(self, entries=entries) for tp, entries in found.items()}

    def after(self, is_done: Callable[[TopicPartition, int], bool]) -> "Batch":
        """Return the batch without the records that are done."""
        left = [each for each in self.entries if not is_done(tp_of(each.record), each.record.offset)]
        return replace(self, entries=left)

    def without_retry(self) -> "Batch":
        """Return the batch, to be tried once."""
        return replace(self, retry=False)
