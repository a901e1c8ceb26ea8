"""Unpack record batches within bounds; an unreadable batch becomes one `UnreadBatch` record.

aiokafka raises in the middle of a read: records before the bad batch, and those of other partitions in
the same read, are lost, and the bad batch is fetched again for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import UnsupportedCodecError

from shared.kafka import internals
from shared.kafka.codecs import CODECS, Undecodable
from shared.kafka.frames import DamagedBatch, Frame, Frames, WrongChecksum, WrongOffsets
from shared.limits import MAX_READ_BYTES


@dataclass
class UnreadBatch(ConsumerRecord):  # type: ignore[misc]
    """Replaces a batch that cannot be unpacked. Its offset is the last one of the batch."""

    reason: str = "corrupt_batch"
    error: str = ""


class Budget:
    """Bytes that one read may still hand out, over all partitions."""

    def __init__(self, size: int = MAX_READ_BYTES) -> None:
        self._size = size
        self.left = size

    def renew(self) -> None:
        """Begin another read."""
        self.left = self._size


class CorruptBatchPolicy(Protocol):
    """Decides about batches that may become readable: damaged on the way here, or without a codec."""

    def should_skip(self, tp: TopicPartition, offset: int, first: int, error: Exception) -> bool:
        """Return whether to skip the batch that was read at `offset`; otherwise it is fetched again.

        `first` is the first offset according to the batch itself.
        """

    def highwater(self, tp: TopicPartition) -> int | None:
        """Return the offset after the partition's last record, if it is known."""


class BoundedRecords(PartitionRecords):  # type: ignore[misc]
    """Records of one partition from one fetch, in place of aiokafka's own iterator.

    It ends early where the budget is spent or a batch has to be fetched again.
    """

    next_fetch_offset: int

    def __init__(self, fetched: PartitionRecords, budget: Budget, policy: CorruptBatchPolicy) -> None:
        self._budget = budget
        self._policy = policy
        super().__init__(*internals.unread(fetched))

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        frames: Frames = self._records
        while frames.has_next():
            frame = frames.next_frame()
            batch: Any = None
            try:
                batch = self._checked(frame)
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
                first = self.next_fetch_offset
                if _is_temporary(error, batch) and not self._policy.should_skip(
                    self._tp, first, frame.base_offset, error
                ):
                    return
                is_damaged = batch is None or isinstance(error, DamagedBatch)
                end = self._end_of_damaged(frame, frames) if is_damaged else batch.next_offset
                self.next_fetch_offset = max(end, first + 1)
                yield _unread(self._tp, batch, first, self.next_fetch_offset - 1, error)
                if is_damaged:
                    return  # the rest may be out of step: it is fetched again
            else:
                self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _checked(self, frame: Frame) -> Any:
        """Return the batch if its checksum and offsets are right.

        Raises:
            DamagedBatch: saying what is wrong.
        """
        batch = frame.batch()
        if not batch.validate_crc():
            raise WrongChecksum("wrong checksum")
        if not self._is_ahead(batch.next_offset):
            raise WrongOffsets(f"a batch that ends with offset {batch.next_offset - 1} cannot be here")
        return batch

    def _is_ahead(self, end: int) -> bool:
        """Return whether reading may go on at this offset."""
        highwater = self._policy.highwater(self._tp)
        return end > self.next_fetch_offset and (highwater is None or end <= highwater)

    def _end_of_damaged(self, frame: Frame, frames: Frames) -> int:
        """Return the offset after a damaged batch: never beyond the next batch, nor beyond the log's end."""
        following = frames.following()
        ends = [frame.end(), following.base_offset if following else None]
        return min((end for end in ends if end and self._is_ahead(end)), default=self.next_fetch_offset + 1)


def _is_temporary(error: Exception, batch: Any) -> bool:
    """Return whether the same batch may be readable later, or by another process."""
    if isinstance(error, UnsupportedCodecError):
        return batch is not None and batch.compression_type in CODECS
    return batch is None or isinstance(error, DamagedBatch)


def _size(record: Any) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _unread(tp: TopicPartition, batch: Any, first: int, last: int, error: Exception) -> UnreadBatch:
    reason = error.reason if isinstance(error, Undecodable) else "corrupt_batch"
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
