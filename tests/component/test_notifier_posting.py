"""Webhooks over HTTP: signed, verifiable by receivers, never sent to private addresses."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier.deliveries import Delivery, after_attempt, delivery_of
from services.notifier.hosts import is_public
from services.notifier.links import LinkedEvents
from services.notifier.posting import Poster, secret_of, webhook_client
from tests.fakes.jobs import START, an_event
from tests.fakes.notifier import FakeLinks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = an_event("completed", 4)


LINKED = LinkedEvents(FakeLinks(), lambda: START, 600)


async def relinked(body: str) -> str:
    return await LINKED.relinked(body)


def a_delivery(url: str = "https://shop.example/hook") -> Delivery:
    return delivery_of(EVENT, url, START)


def poster(answer: Callable[[httpx.Request], httpx.Response]) -> Poster:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Poster(client, SECRET, relinked, timeout_seconds=10)


@pytest.fixture
async def guarded() -> AsyncIterator[Poster]:
    async with webhook_client(private_hosts=False, connections=4) as client:
        yield Poster(client, SECRET, relinked, timeout_seconds=10)


async def test_a_receiver_can_verify_the_signature() -> None:
    seen: list[httpx.Request] = []

    def receive(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    outcome = await poster(receive).post(a_delivery())
    assert (outcome.status, outcome.error) == (204, None)
    [request] = seen
    own = Webhook(secret_of("acme", SECRET))
    data = own.verify(request.content, dict(request.headers))
    assert (data["event"], data["seq"]) == ("completed", 4)
    assert request.headers["webhook-id"] == f"{EVENT.job_id}/4"
    for other in (Webhook(SECRET), Webhook(secret_of("globex", SECRET))):
        with pytest.raises(WebhookVerificationError):
            other.verify(request.content, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        own.verify(request.content + b" ", dict(request.headers))


async def test_an_image_comes_with_a_link_that_is_signed_when_it_is_sent() -> None:
    bodies: list[bytes] = []
    time = START

    def receive(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        Webhook(secret_of("acme", SECRET)).verify(request.content, dict(request.headers))
        return httpx.Response(503, headers={"Retry-After": "8"})

    linked = LinkedEvents(FakeLinks(), lambda: time, 600)
    client = httpx.AsyncClient(transport=httpx.MockTransport(receive))
    sender = Poster(client, SECRET, linked.relinked, timeout_seconds=10)
    ready = delivery_of(an_event("image_ready", 3), "https://shop.example/hook", START)
    outcome = await sender.post(ready)
    assert (outcome.status, outcome.retry_after) == (503, 8)
    time += timedelta(hours=2)
    await sender.post(ready)
    first, again = [json.loads(body) for body in bodies]
    key = first["image"]["stored"]["key"]
    assert first["links"] == {"url": f"https://bucket.example/{key}", "expires_at": "2030-01-01T12:10:00Z"}
    assert again["links"]["expires_at"] == "2030-01-01T14:10:00Z"
    del first["links"], again["links"]
    assert first == again == json.loads(ready.body)
    assert "links" not in ready.body, "the stored event names the key alone"


async def test_an_unreadable_stored_event_is_retried_without_counting_against_its_endpoint() -> None:
    def receive(request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was sent")

    damaged = a_delivery().model_copy(update={"body": json.dumps({"event": "poem"})})
    outcome = await poster(receive).post(damaged)
    assert (outcome.refused, outcome.unsent) == (False, True)
    assert outcome.error
    assert outcome.error.startswith("stored event cannot be read: ")
    assert "pydantic" not in outcome.error
    assert after_attempt(damaged, outcome, START).state == "pending"


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
async def test_only_2xx_is_a_success(status: int) -> None:
    calls: list[str] = []

    def receive(request: httpx.Request) -> httpx.Response:
        calls.append(str(request.url))
        return httpx.Response(status, headers={"location": "https://elsewhere.example"})

    outcome = await poster(receive).post(a_delivery())
    assert outcome.status == status
    assert outcome.error
    assert len(calls) == 1


async def test_an_unreachable_receiver_is_a_failure_to_retry() -> None:
    def receive(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    outcome = await poster(receive).post(a_delivery())
    assert (outcome.status, outcome.refused) == (None, False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
    ],
)
async def test_private_addresses_are_refused_in_every_notation(guarded: Poster, host: str) -> None:
    outcome = await guarded.post(a_delivery(f"http://{host}:9/"))
    assert outcome.status is None
    assert outcome.refused, outcome.error


@pytest.mark.parametrize("url", ["http://", "http://x:99999/", "ftp://shop.example/"])
async def test_an_invalid_address_is_refused(guarded: Poster, url: str) -> None:
    assert (await guarded.post(a_delivery(url))).refused


async def test_private_addresses_can_be_allowed() -> None:
    async with webhook_client(private_hosts=True, connections=4) as client:
        outcome = await Poster(client, SECRET, relinked, timeout_seconds=10).post(
            a_delivery("http://127.0.0.1:9/")
        )
    assert not outcome.refused
    assert outcome.error


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("224.0.0.1", False),
        ("64:ff9b::808:808", True),
        ("x", False),
    ],
)
def test_public_addresses_are_recognised(address: str, public: bool) -> None:
    assert is_public(address) is public
