"""What is too big to hold: streamed into a file, counted and hashed on its way."""

import asyncio
import hashlib
from collections.abc import AsyncIterable
from typing import BinaryIO

WRITE_BYTES = 4 * 1024 * 1024


class TooLong(Exception):
    """More came than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} bytes")
        self.limit = limit


class HashedFile:
    """Takes chunks into an open file, some megabytes at a time, off the event loop."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file = file
        self.bytes = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of all that was taken."""
        return self._hash.hexdigest()

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all of them.

        Raises:
            TooLong: as soon as it is known.
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
