"""A webhook address with credentials: they are sent as Basic authentication, and shown nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contracts.generation import Notify
from services.notifier.deliveries import Delivery, delivery_of
from services.notifier.posting import Poster, webhook_client
from shared.ids import uuid7
from tests.fakes.jobs import START, a_job, a_story, an_event
from tests.fakes.notifier import NotifierHarness

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORDS = ("p%40ss", "p@ss", "us%20er", "us er", "dXMgZXI6cEBzcw==")
URL = "http://us%20er:p%40ss@shop.example/basic"
SHOWN = "http://shop.example/basic"


@asynccontextmanager
async def receiver(status: str = "204 No Content") -> AsyncIterator[tuple[int, list[str]]]:
    """The port of a server, and the heads of the requests it got."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        length = int(head.lower().split("content-length:")[1].split()[0])
        await reader.readexactly(length)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


async def posted(url: str, port: int) -> str | None:
    """Send one event; returns the error."""

    async def as_it_is(body: str) -> str:
        return body

    async with webhook_client(private_hosts=True, connections=2) as client:
        poster = Poster(client, SECRET, as_it_is, timeout_seconds=5)
        event = an_event("accepted", 1)
        return (await poster.post(delivery_of(event, url.replace("PORT", str(port)), START))).error


@pytest.mark.parametrize(
    ("userinfo", "header"),
    [
        ("us%20er:p%40ss@", "authorization: Basic dXMgZXI6cEBzcw=="),
        ("user@", "authorization: Basic dXNlcjo="),
        (":token@", "authorization: Basic OnRva2Vu"),
        ("a:b:c@", "authorization: Basic YTpiOmM="),
        ("u:%ff@", "authorization: Basic dTr/"),
        ("%C3%BC:%E2%82%AC@", "authorization: Basic w7w64oKs"),
    ],
)
async def test_credentials_are_sent_as_basic_authentication(userinfo: str, header: str) -> None:
    async with receiver() as (port, heads):
        assert await posted(f"http://{userinfo}127.0.0.1:PORT/basic?x=1", port) is None
    [head] = heads
    assert head.startswith("POST /basic?x=1 HTTP/1.1")
    assert header in head
    assert f"host: 127.0.0.1:{port}\r\n" in head


async def test_an_address_without_credentials_sends_no_authorization() -> None:
    async with receiver() as (port, heads):
        assert await posted("http://127.0.0.1:PORT/hook/@handle", port) is None
    assert "authorization" not in heads[0].lower()


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_redirects_are_not_followed(status: str) -> None:
    async with receiver(f"{status}\r\nLocation: /elsewhere") as (port, heads):
        assert await posted("http://127.0.0.1:PORT/hook", port)
    assert [head.split()[1] for head in heads] == ["/hook"]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "none.invalid", "x:99999", "[", "127.0.0.1:9:9"])
async def test_errors_of_a_delivery_name_no_credentials(address: str) -> None:
    error = await posted(f"http://us%20er:p%40ss@{address}/basic", 0)
    assert error
    assert not [word for word in PASSWORDS if word in error]


async def test_credentials_are_neither_shown_nor_stored_in_an_address(
    harness: NotifierHarness,
) -> None:
    harness.receiver.will(SHOWN, 500)
    job = harness.jobs.put(a_job(job_id=uuid7(), notify=Notify(webhook_url=URL)))
    await harness.handle(*a_story("accepted", job_id=job.job_id, webhook=True))
    await harness.deliver()
    [delivery] = harness.deliveries.kept.values()
    assert (delivery.url, delivery.credentials) == (SHOWN, "us%20er:p%40ss")
    [endpoint] = harness.endpoints.kept.values()
    answers = [await harness.http.get(f"/v1/webhooks/{path}") for path in ("deliveries", "endpoints")]
    shown = [*(answer.text for answer in answers), repr(delivery), endpoint.model_dump_json(), delivery.body]
    assert SHOWN in answers[0].text
    assert not [(word, text) for word in PASSWORDS for text in shown if word in text]


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


@pytest.mark.parametrize("named", [URL, SHOWN])
async def test_an_endpoint_is_enabled_and_replayed_with_or_without_credentials_in_its_address(
    harness: NotifierHarness, named: str
) -> None:
    harness.receiver.will(SHOWN, 410)
    job = harness.jobs.put(a_job(job_id=uuid7(), notify=Notify(webhook_url=URL)))
    await harness.handle(*a_story("accepted", job_id=job.job_id, webhook=True))
    await harness.deliver()
    enabled = await harness.http.post("/v1/webhooks/endpoints/enable", json={"url": named})
    assert enabled.json() == {"replayed": 1}
    await harness.deliver()
    replay = {"url": named, "state": "delivered"}
    assert (await harness.http.post("/v1/webhooks/deliveries/replay", json=replay)).json() == {"replayed": 1}


def test_a_delivery_stored_by_an_older_version_is_read_without_credentials_in_its_address() -> None:
    kept = delivery_of(an_event("accepted", 1), "https://shop.example", START).model_dump() | {"url": URL}
    read = Delivery.model_validate(json.loads(json.dumps(kept, default=str)))
    assert (read.url, read.credentials) == (SHOWN, "us%20er:p%40ss")
