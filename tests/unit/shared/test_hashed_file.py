"""A stream into a file: counted, hashed, and left off at its limit."""

import hashlib
import io
from collections.abc import AsyncIterator

import pytest

from shared import hashed_file
from shared.hashed_file import HashedFile, TooLong


async def chunks_of(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"a" * size


class Written(io.BytesIO):
    """Keeps how much was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, data: object) -> int:
        assert isinstance(data, bytearray)
        self.sizes.append(len(data))
        return super().write(data)


async def test_written_data_is_counted_and_hashed() -> None:
    file = HashedFile(io.BytesIO(), max_bytes=100)
    await file.take(chunks_of(10, 0, 30))
    assert isinstance(file.file, io.BytesIO)
    assert file.file.getvalue() == b"a" * 40
    assert (file.bytes, file.sha256) == (40, hashlib.sha256(b"a" * 40).hexdigest())


async def test_small_chunks_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_file, "WRITE_BYTES", 100)
    written = Written()
    await HashedFile(written, max_bytes=1000).take(chunks_of(*[30] * 8))
    assert written.sizes == [120, 120, 0]


async def test_a_file_may_be_as_long_as_its_limit_and_no_longer() -> None:
    file = HashedFile(io.BytesIO(), max_bytes=40)
    await file.take(chunks_of(20, 20))
    assert file.bytes == 40
    with pytest.raises(TooLong):
        await HashedFile(io.BytesIO(), max_bytes=39).take(chunks_of(20, 20))


async def test_data_beyond_the_limit_is_refused_at_once() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"a" * 400

    with pytest.raises(TooLong):
        await HashedFile(io.BytesIO(), max_bytes=1000).take(endless())
    assert read == 3
