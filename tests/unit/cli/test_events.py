"""Server-Sent Events: parsed as the standard says, and a lost connection is taken up again."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from clients.cli.errors import Unreachable
from clients.cli.events import EventStream, ServerEvent, parse


async def parsed(*chunks: bytes) -> list[ServerEvent]:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in parse(body())]


async def test_an_event_has_kind_data_and_id() -> None:
    """As the notifier writes them, a comment between."""
    found = await parsed(b'retry: 2000\n\nid: 7\nevent: started\ndata: {"a": 1}\n\n: still here\n\n')
    assert found == [ServerEvent("started", '{"a": 1}', "7")]


async def test_an_event_may_come_in_any_pieces() -> None:
    """The network cuts where it wants, also inside a character."""
    whole = "event: x\r\ndata: Grüße\r\ndata: two\r\n\r\n".encode()
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    assert await parsed(*pieces) == [ServerEvent("x", "Grüße\ntwo", None)]


async def test_only_line_feeds_end_a_line() -> None:
    """JSON may hold separators that Python's splitlines would cut at."""
    data = '{"prompt": "a\u2028b\u0085c\x0b"}'
    assert await parsed(f"data: {data}\n\n".encode()) == [ServerEvent("message", data, None)]


async def test_an_id_stays_until_the_next_and_a_cut_event_is_none() -> None:
    """Progress has no id of its own; what its end cut off comes again."""
    found = await parsed(b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n")
    assert found == [ServerEvent("message", "a", "1"), ServerEvent("message", "b", "1")]


async def read(
    answers: list[httpx.Response | Exception], patience: float = 9.0
) -> tuple[list[ServerEvent], list[str | None]]:
    """What a stream gives over these answers, and with which ids it asked."""
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        following = answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    stream = EventStream(http, "http://notifier/x", pause_seconds=0, patience_seconds=patience)
    async with http, aclosing(stream.read()) as found:
        return [event async for event in found], asked


async def test_a_lost_connection_goes_on_after_the_last_event() -> None:
    """204 says that there is no more."""
    first = httpx.Response(200, stream=httpx.ByteStream(b"id: 4\ndata: a\n\n"))
    second = httpx.Response(200, stream=httpx.ByteStream(b"id: 5\ndata: b\n\n"))
    found, asked = await read([first, httpx.ConnectError("gone"), second, httpx.Response(204)])
    assert [event.data for event in found] == ["a", "b"]
    assert asked == [None, "4", "4", "5"]


async def test_a_notifier_that_stays_away_is_named() -> None:
    """Once its time is over."""
    with pytest.raises(Unreachable, match="notifier at http://notifier/x does not answer"):
        await read([httpx.ConnectError("gone") for _ in range(6)], patience=0.0)
