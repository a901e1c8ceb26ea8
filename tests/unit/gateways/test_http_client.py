"""The HTTP client on real sockets: its errors decide whether a paid request may be repeated."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from services.gateways.kit.provider import NotAccepted, OutcomeUnknown
from services.gateways.kit.wire import send_paid
from shared.http.client import http_client

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Reads requests and behaves as a test defines; counts requests and connections."""

    def __init__(self, talk: Talk) -> None:
        self.requests = self.connections = 0
        self.url = ""
        self.heads: list[bytes] = []
        self._talk = talk

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._request(reader):
                self.requests += 1
                await self._talk(reader, writer)
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        self.heads.append(head.lower())
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        return True


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[Server]:
    server = Server(talk)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Abort the connection, as a killed machine does."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def say_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"what do you want?\r\n\r\n")


async def break_off_in_the_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.02)
    reset(writer)


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def answer_and_leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()
    writer.close()


def a_closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def test_a_refused_connection_is_a_connection_that_was_not_made() -> None:
    async with http_client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.post(a_closed_port(), json={})
        with pytest.raises(NotAccepted) as raised:
            await send_paid(http, a_closed_port(), json={})
    assert raised.value.code == "provider_unreachable"


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (drop, httpx.ReadError),
        (break_off, httpx.ReadError),
        (say_nonsense, httpx.ReadError),
        (say_nothing, httpx.ReadTimeout),
        (break_off_in_the_answer, httpx.ReadError),
    ],
)
async def test_a_request_that_was_sent_is_never_called_unsent(talk: Talk, error: type[Exception]) -> None:
    async with serving(talk) as server, http_client(timeout_seconds=0.1) as http:
        with pytest.raises(error) as raised:
            await http.post(server.url, json={"prompt": "a lighthouse"})
        assert not isinstance(raised.value, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        assert server.requests == 1
        with pytest.raises(OutcomeUnknown):
            await send_paid(http, server.url, json={"prompt": "a lighthouse"})
        assert server.requests == 2


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with serving(answer) as server, http_client() as http:
        for _ in range(3):
            assert (await http.post(server.url, json={})).json() == {}
    assert (server.requests, server.connections) == (3, 1)


async def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    async with serving(answer_and_leave) as server, http_client() as http:
        for _ in range(3):
            assert (await http.post(server.url, json={})).json() == {}
            await asyncio.sleep(0.01)
    assert (server.requests, server.connections) == (3, 3)


async def test_a_kept_connection_that_breaks_under_a_second_request_is_not_tried_again() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        server.requests += 1
        writer.close()

    async with serving(answer_once) as server, http_client() as http:
        await http.post(server.url, json={})
        with pytest.raises(httpx.ReadError):
            await http.post(server.url, json={})
    assert (server.requests, server.connections) == (2, 1)


async def test_a_redirect_is_not_followed() -> None:
    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 303 See Other\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")

    async with serving(redirect) as server, http_client() as http:
        with pytest.raises(OutcomeUnknown):
            await send_paid(http, server.url, json={})
    assert server.requests == 1


async def test_more_calls_than_connections_wait_for_one() -> None:
    async with serving(answer) as server, http_client(connections=2) as http:
        await asyncio.gather(*(http.post(server.url, json={}) for _ in range(20)))
    assert (server.requests, server.connections) == (20, 2)


async def give_a_cookie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=ours\r\n\r\n"))


async def test_no_cookie_is_kept() -> None:
    async with serving(give_a_cookie) as server, http_client() as http:
        for _ in range(2):
            assert (await http.get(server.url)).headers["Set-Cookie"] == "session=ours"
    assert server.requests == 2
    assert not any(b"cookie:" in head for head in server.heads)
