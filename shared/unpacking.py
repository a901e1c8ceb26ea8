"""Record batches → records, within bounds; a batch that cannot be unpacked becomes a record that says so.

aiokafka raises out of the middle of what it has fetched: records before the bad batch, and those of
other partitions in the same read, are lost, and the bad batch is fetched again for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from shared.codecs import CODECS, Undecodable
from shared.limits import MAX_READ_BYTES


@dataclass
class UnreadBatch(ConsumerRecord):  # type: ignore[misc]
    """Stands for a whole batch that cannot be unpacked: its offset is the batch's last one."""

    reason: str = "corrupt_batch"
    error: str = ""


class WrongChecksum(CorruptRecordException):  # type: ignore[misc]
    """A batch was damaged on a disk or on its way here."""


class Budget:
    """Bytes that one read may still hand out, over all partitions."""

    def __init__(self, size: int = MAX_READ_BYTES) -> None:
        self._size = size
        self.left = size

    def renew(self) -> None:
        """Begin another read."""
        self.left = self._size


class Judge(Protocol):
    """Decides about batches that may become readable: damaged on the way here, or without a codec."""

    def gives_up(self, tp: TopicPartition, offset: int, error: Exception) -> bool:
        """Return whether to pass over the batch at this offset; otherwise it is fetched again later."""


class BoundedRecords(PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition, in place of aiokafka's own iterator.

    It ends early where the budget is spent or a batch has to be fetched again.
    """

    next_fetch_offset: int

    def __init__(self, fetched: PartitionRecords, budget: Budget, judge: Judge) -> None:
        self._budget = budget
        self._judge = judge
        position = fetched.next_fetch_offset
        super().__init__(fetched._tp, fetched._records, None, position, None, None, True, READ_UNCOMMITTED)

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        while self._records.has_next():
            batch = self._records.next_batch()
            try:
                if not batch.validate_crc():
                    raise WrongChecksum("wrong checksum")
                if not batch.is_control_batch:
                    for record in batch:
                        if record.offset < self.next_fetch_offset:
                            continue
                        if self._budget.left <= 0:
                            return
                        self._budget.left -= _size(record)
                        self.next_fetch_offset = record.offset + 1
                        yield self._consumer_record(self._tp, record)
            except Exception as error:  # whatever the parser raises must not stop a partition
                if _may_pass(error, batch) and not self._judge.gives_up(
                    self._tp, self.next_fetch_offset, error
                ):
                    return
                yield _unread(self._tp, batch, self.next_fetch_offset, error)
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)


def _may_pass(error: Exception, batch: Any) -> bool:
    """Whether the same batch may be readable later, or by another process."""
    if isinstance(error, UnsupportedCodecError):
        return batch.compression_type in CODECS
    return isinstance(error, WrongChecksum)


def _size(record: Any) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _unread(tp: TopicPartition, batch: Any, first: int, error: Exception) -> UnreadBatch:
    reason = error.reason if isinstance(error, Undecodable) else "corrupt_batch"
    last = batch.next_offset - 1
    start = error.start if isinstance(error, Undecodable) else b""
    return UnreadBatch(
        topic=tp.topic,
        partition=tp.partition,
        offset=last,
        timestamp=getattr(batch, "max_timestamp", -1),
        timestamp_type=0,
        key=None,
        value=start,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=len(start),
        headers=(),
        reason=reason,
        error=f"offsets {first} to {last} cannot be read: {type(error).__name__}: {error}",
    )
