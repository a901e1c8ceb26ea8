"""Stream data that is too large for memory into a file; count and hash it on the way."""

import asyncio
import hashlib
from collections.abc import AsyncIterable
from typing import BinaryIO

WRITE_BYTES = 4 * 1024 * 1024


class TooLong(Exception):
    """The data is longer than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} bytes")
        self.limit = limit


class HashedFile:
    """Writes chunks to an open file, some megabytes at a time, outside the event loop."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file = file
        self.bytes = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of all data."""
        return self._hash.hexdigest()

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all chunks.

        Raises:
            TooLong: as soon as the limit is exceeded.
        """
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if self.bytes + len(waiting) > self._max_bytes:
                raise TooLong(self._max_bytes)
            if len(waiting) >= WRITE_BYTES:
                await self._write(waiting)
                waiting = bytearray()
        await self._write(waiting)

    async def _write(self, data: bytearray) -> None:
        await asyncio.to_thread(self._write_now, data)
        self.bytes += len(data)

    def _write_now(self, data: bytearray) -> None:
        self.file.write(data)
        self._hash.update(data)
