"""Record batches in the bytes of a fetch, found by their length fields, which may be damaged.

aiokafka's own reader hides the bytes. It takes a damaged length for a batch that is cut off, and skips
one offset silently.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

_OFFSET_AND_LENGTH: Final = struct.Struct(">qi")
_V2_HEADER_BYTES: Final = 61
_LEGACY_HEADER_BYTES: Final = 26
_MAGIC_AT, _LAST_DELTA_AT, _COUNT_AT = 16, 23, 57


class DamagedBatch(CorruptRecordException):  # type: ignore[misc]
    """A batch was damaged on a disk or on its way here; fetched again it may be whole."""


class WrongChecksum(DamagedBatch):
    """The checksum of a batch does not fit its bytes."""


class WrongLength(DamagedBatch):
    """The length field of a batch does not fit the bytes that were fetched."""


class WrongOffsets(DamagedBatch):
    """A batch has offsets that cannot be in this place. Its checksum does not cover the first one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one batch; `whole` is False when the length field does not fit them."""

    data: bytes
    whole: bool

    @property
    def base_offset(self) -> int:
        """The first offset, as far as the bytes reach; a checksum never covers it."""
        return int.from_bytes(self.data[:8], "big", signed=True)

    def batch(self) -> Any:
        """Return aiokafka's reader of this batch.

        Raises:
            WrongLength: when the bytes are no batch.
        """
        magic = self.data[_MAGIC_AT] if len(self.data) > _MAGIC_AT else 0
        least = _V2_HEADER_BYTES if magic >= 2 else _LEGACY_HEADER_BYTES
        if not self.whole or len(self.data) < least:
            raise WrongLength(f"the length field does not fit the {len(self.data)} bytes that follow")
        return MemoryRecords(self.data).next_batch()

    def is_intact(self) -> bool:
        """Return whether this is a batch with the right checksum."""
        try:
            return bool(self.batch().validate_crc())
        except Exception:  # whatever the parser raises: the bytes are no batch
            return False

    def end(self) -> int | None:
        """Return the offset after the batch, when two fields of its header agree about it."""
        if len(self.data) < _V2_HEADER_BYTES or self.data[_MAGIC_AT] < 2:
            return None
        (delta,) = struct.unpack_from(">i", self.data, _LAST_DELTA_AT)
        (count,) = struct.unpack_from(">i", self.data, _COUNT_AT)
        return self.base_offset + count if count == delta + 1 else None


class Frames:
    """Takes the place of aiokafka's `MemoryRecords` for what a fetch brings."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data or b""
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return the size of all bytes."""
        return len(self._data)

    def has_next(self) -> bool:
        """Return whether a batch follows.

        The last one may be cut off: the next fetch begins with it. A first one that is not whole is damaged.
        """
        return self._at < len(self._data) and (self._at == 0 or self._peek().whole)

    def next_frame(self) -> Frame:
        """Return the bytes of the next batch, and go on behind it."""
        frame = self._peek()
        self._at += len(frame.data)
        return frame

    def following(self) -> Frame | None:
        """Return the next batch if it is intact, and stay before it."""
        frame = self._peek() if self._at < len(self._data) else None
        return frame if frame and frame.is_intact() else None

    def next_batch(self) -> Any:
        """For consumers of aiokafka in the same process, which do not know frames."""
        return self.next_frame().batch() if self.has_next() else None

    def _peek(self) -> Frame:
        rest = len(self._data) - self._at
        if rest < _OFFSET_AND_LENGTH.size:
            return Frame(self._data[self._at :], whole=False)
        _, length = _OFFSET_AND_LENGTH.unpack_from(self._data, self._at)
        size = _OFFSET_AND_LENGTH.size + length
        if not _LEGACY_HEADER_BYTES <= size <= rest:
            return Frame(self._data[self._at :], whole=False)
        return Frame(self._data[self._at : self._at + size], whole=True)


def keep_frames() -> None:
    """Make aiokafka's consumers keep the bytes of what they fetch; harmless when repeated."""
    fetcher.MemoryRecords = Frames
