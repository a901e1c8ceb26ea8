"""Event streams of the public client: each event once, across lost connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from contracts.http import JobSnapshot
from imagegen_client import EventStream, RequestRejected, ServerUnavailable
from imagegen_client.events import job_event, user_event
from imagegen_client.server import Server
from tests.fakes.jobs import a_story

EVENT_STREAM = {"Content-Type": "text/event-stream"}
[ACCEPTED, STARTED] = a_story("accepted", "started")


class Body(httpx.AsyncByteStream):
    """A body in the given pieces; it waits before it ends, or breaks off."""

    def __init__(self, *pieces: bytes, seconds: float = 0.0, broken: bool = False) -> None:
        self._pieces = pieces
        self._seconds = seconds
        self._broken = broken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        await asyncio.sleep(self._seconds)
        if self._broken:
            raise httpx.ReadError("connection reset")


def stream_of(*pieces: bytes, seconds: float = 0.0, broken: bool = False) -> httpx.Response:
    body = Body(*pieces, seconds=seconds, broken=broken)
    return httpx.Response(200, headers=EVENT_STREAM, stream=body)


Received = tuple[str, str, str]


def text_of(event: ServerSentEvent) -> Received:
    return event.event, event.data, event.id


async def read(
    *answers: httpx.Response | Exception, patience_seconds: float = 9.0, last_event_id: str | None = None
) -> tuple[list[Received], list[str | None]]:
    """Return the events of a stream over these answers and a final 204, and the ids it resumed after."""
    left, resumed = [*answers, httpx.Response(204)], []

    def answer(request: httpx.Request) -> httpx.Response:
        resumed.append(request.headers.get("Last-Event-ID"))
        following = left.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        stream = EventStream(
            Server("notifier", "http://notifier", http, 0.0),
            "/events",
            text_of,
            last_event_id,
            pause_seconds=0,
            patience_seconds=patience_seconds,
        )
        async with aclosing(stream.read()) as events:
            return [event async for event in events], resumed


async def test_an_event_has_a_kind_data_and_an_id() -> None:
    events, _ = await read(stream_of(b'retry: 0\n\nid: 7\nevent: started\ndata: {"a": 1}\n\n'))

    assert events == [("started", '{"a": 1}', "7")]


async def test_heartbeats_are_no_events() -> None:
    events, _ = await read(stream_of(b"id: 7\ndata: a\n\n: still here\n\n: still here\n\n"))

    assert events == [("message", "a", "7")]


async def test_an_event_may_arrive_in_any_pieces() -> None:
    whole = "event: x\r\ndata: Grüße\r\ndata: two\r\n\r\n".encode()

    events, _ = await read(stream_of(*(whole[at : at + 1] for at in range(len(whole)))))

    assert events == [("x", "Grüße\ntwo", "")]


async def test_json_keeps_characters_that_other_parsers_take_for_line_ends() -> None:
    data = '{"prompt": "a\u2028b\u2029c\u0085d\x0be\x1cf"}'

    events, _ = await read(stream_of(f"data: {data}\n\n".encode()))

    assert events == [("message", data, "")]


async def test_an_event_that_is_cut_off_is_dropped_and_not_resumed_after() -> None:
    events, resumed = await read(stream_of(b"id: 1\ndata: a\n\nid: 2\ndata: c\n"))

    assert events == [("message", "a", "1")]
    assert resumed == [None, "1"]


async def test_a_lost_connection_is_resumed_after_the_last_event() -> None:
    events, resumed = await read(
        stream_of(b"id: 4\ndata: a\n\n", broken=True),
        httpx.ConnectError("refused"),
        httpx.Response(503),
        stream_of(b"id: 5\ndata: b\n\n"),
    )

    assert [data for _, data, _ in events] == ["a", "b"]
    assert resumed == [None, "4", "4", "4", "5"]


async def test_an_event_without_an_id_does_not_move_the_place_to_resume_at() -> None:
    """Progress has no id of its own."""
    _, resumed = await read(stream_of(b"id: 4\ndata: a\n\n"), stream_of(b"data: progress\n\n"))

    assert resumed == [None, "4", "4"]


async def test_a_stream_can_begin_after_an_event_of_an_earlier_one() -> None:
    _, resumed = await read(last_event_id="17")

    assert resumed == ["17"]


async def test_a_notifier_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(ServerUnavailable, match="notifier at http://notifier is unavailable: refused"):
        await read(httpx.ConnectError("refused"), patience_seconds=0.0)


async def test_a_quiet_stream_does_not_count_as_a_failing_one() -> None:
    """A job may wait for longer than the patience without any event."""
    quiet = stream_of(b": still here\n\n", seconds=90.0, broken=True)

    events, _ = await read(quiet, stream_of(b"data: a\n\n"), patience_seconds=60.0)

    assert [data for _, data, _ in events] == ["a"]


async def test_a_successful_connection_ends_the_count_of_failing_time() -> None:
    lasting = stream_of(b"data: a\n\n", seconds=90.0, broken=True)

    events, _ = await read(httpx.ConnectError("refused"), lasting, stream_of(), patience_seconds=60.0)

    assert [data for _, data, _ in events] == ["a"]


async def test_the_notifier_names_the_pause_before_a_reconnect() -> None:
    clock = asyncio.get_running_loop().time
    started = clock()

    await read(stream_of(b"retry: 60000\n\n"))

    assert 60 <= clock() - started < 70


async def test_a_page_of_a_proxy_is_not_an_event_stream() -> None:
    with pytest.raises(ServerUnavailable, match="not an event stream"):
        await read(httpx.Response(200, html="<h1>Maintenance</h1>"), patience_seconds=0.0)


async def test_a_refused_stream_is_not_repeated() -> None:
    problem = {"title": "Not Found", "status": 404, "detail": "job x does not exist"}

    with pytest.raises(RequestRejected, match="job x does not exist"):
        await read(httpx.Response(404, json=problem))


def sent(kind: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(kind, json.dumps(data))


def test_an_event_of_a_job_is_typed_and_has_its_links() -> None:
    links = {"url": "http://s3/x", "expires_at": "2030-01-01T00:00:00Z"}

    event = job_event(sent("started", STARTED.model_dump(mode="json") | {"links": links}))

    assert event
    assert (event.event, event.job_id) == ("started", STARTED.job_id)
    assert event.links
    assert event.links.url == "http://s3/x"


def test_kinds_of_events_that_this_version_does_not_know_are_skipped() -> None:
    assert job_event(sent("renamed", {"any": 1})) is None
    assert user_event(sent("renamed", {"any": 1})) is None


def test_a_users_stream_has_snapshots() -> None:
    snapshot = JobSnapshot.model_validate(
        ACCEPTED.model_dump(include=set(JobSnapshot.model_fields) & set(type(ACCEPTED).model_fields))
    )

    assert user_event(sent("snapshot", snapshot.model_dump(mode="json"))) == snapshot
    assert user_event(sent("started", STARTED.model_dump(mode="json"))) is not None
