"""The proxy in front of a server: it forwards, cuts and refuses connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from deploy.local.proxy import Proxy


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def passes(proxy: Proxy) -> bool:
    """Return whether sent bytes are echoed."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello")
        with suppress(OSError, asyncio.IncompleteReadError):
            return await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
        return False


async def test_connections_are_cut_and_new_ones_work(echo: str) -> None:
    async with Proxy(echo) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.cut()
        with suppress(OSError):
            assert await asyncio.wait_for(reader.read(1), 5) == b"", "it is over"
        assert await passes(proxy)


async def test_a_closed_proxy_forwards_nothing_until_it_is_opened(echo: str) -> None:
    async with Proxy(echo) as proxy:
        proxy.close()
        assert not await passes(proxy)
        proxy.open()
        assert await passes(proxy)
