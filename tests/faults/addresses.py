"""Where a gateway may try to connect, beside a provider that answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from deploy.simulators.serving import HOST
from tests.faults.rows import Door


@contextmanager
def door(door: Door, url: str) -> Iterator[str]:
    """The provider's address."""
    if door == "open":
        yield url
        return
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((HOST, 0))
        if door == "full":
            listener.listen(0)
            for waiting in (first, second):
                waiting.setblocking(False)
                with suppress(BlockingIOError):
                    waiting.connect(listener.getsockname())
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@asynccontextmanager
async def nobodys(came: list[str]) -> AsyncIterator[str]:
    """Another host; whoever comes is written down."""

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.read(1000)).decode(errors="replace"))
        writer.close()

    server = await asyncio.start_server(note, HOST, 0)
    async with server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
