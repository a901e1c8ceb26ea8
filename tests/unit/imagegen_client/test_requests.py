"""Requests of the public client: repeated while a server is unavailable, refusals as errors."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from imagegen_client import Client, ImagegenError, RequestRejected, ServerNotConfigured, ServerUnavailable
from imagegen_client.models import Character, ReplayWebhooks, ResultImage, StudioSubmission

JOB_ID = "0193f2a0-0000-7000-8000-000000000001"
JOB = {
    "id": JOB_ID,
    "type": "studio",
    "user_id": "ann",
    "status": "pending",
    "phase": "queued",
    "requested": 1,
    "delivered": 0,
    "failed": 0,
    "elapsed_seconds": 0.0,
    "created": "2030-01-01T00:00:00Z",
}
STUDIO = StudioSubmission(character=Character(name="Mara", age=27))
UNAVAILABLE = {"title": "Service Unavailable", "status": 503, "detail": "MongoDB does not answer"}
Answer = httpx.Response | Exception


class Network:
    """Gives prepared answers in order, the last one for ever, and records the requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client_of(network: Callable[[httpx.Request], httpx.Response], patience_seconds: float = 0.0) -> Client:
    return Client(
        api_url="http://api/",
        notifier_url="http://notifier",
        tenant="acme",
        user="Jürgen",
        patience_seconds=patience_seconds,
        transport=httpx.MockTransport(network),
    )


async def test_a_submission_is_posted_with_its_key_and_the_callers_identity() -> None:
    network = Network(httpx.Response(202, json=JOB))
    async with client_of(network) as client:
        job = await client.submit(STUDIO, "order-1")

    [request] = network.requests
    assert job.id == JOB_ID
    assert (request.method, str(request.url)) == ("POST", "http://api/v1/studio")
    assert request.headers["Idempotency-Key"] == "order-1"
    assert request.headers["X-Tenant-Id"] == "acme"
    assert (b"X-User-Id", "Jürgen".encode()) in request.headers.raw
    assert json.loads(request.content)["character"]["name"] == "Mara"


async def test_submissions_without_a_key_have_different_keys() -> None:
    network = Network(httpx.Response(202, json=JOB))
    async with client_of(network) as client:
        await client.submit(STUDIO)
        await client.submit(STUDIO)

    keys = {request.headers["Idempotency-Key"] for request in network.requests}
    assert len(keys) == 2


async def test_a_request_is_repeated_unchanged_while_the_server_is_unavailable() -> None:
    network = Network(
        httpx.ConnectError("refused"),
        httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": "0"}),
        httpx.Response(202, json=JOB),
    )
    async with client_of(network, patience_seconds=30) as client:
        await client.submit(STUDIO)

    assert len(network.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in network.requests}) == 1
    assert len({request.content for request in network.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.Response(503, json=UNAVAILABLE), "MongoDB does not answer"),
        (httpx.Response(502, html="<h1>Bad Gateway</h1>"), "unexpected answer with status 502"),
        (httpx.Response(200, json={"id": 1}), "unexpected answer with status 200"),
    ],
)
async def test_a_server_without_a_usable_answer_is_unavailable(answer: Answer, reason: str) -> None:
    async with client_of(Network(answer)) as client:
        with pytest.raises(ServerUnavailable) as caught:
            await client.job(JOB_ID)

    assert (caught.value.server, caught.value.url) == ("api", "http://api")
    assert reason in caught.value.reason


async def test_a_server_that_asks_for_a_long_pause_does_not_extend_the_patience() -> None:
    network = Network(httpx.Response(503, json=UNAVAILABLE, headers={"Retry-After": "3600"}))
    async with asyncio.timeout(60), client_of(network, patience_seconds=10) as client:
        with pytest.raises(ServerUnavailable):
            await client.job(JOB_ID)

    assert len(network.requests) == 2


async def test_a_refused_request_is_not_repeated_and_has_its_problem() -> None:
    errors = [{"field": "count", "message": "must be at most 10"}]
    problem = {"title": "Unprocessable", "status": 422, "detail": "1 error", "errors": errors}
    network = Network(httpx.Response(422, json=problem))
    async with client_of(network, patience_seconds=30) as client:
        with pytest.raises(RequestRejected, match="count: must be at most 10") as caught:
            await client.submit(STUDIO)

    assert (caught.value.status, caught.value.problem.detail) == (422, "1 error")
    assert len(network.requests) == 1


async def test_ids_are_quoted_in_paths() -> None:
    network = Network(httpx.Response(404, json=UNAVAILABLE | {"status": 404}))
    async with client_of(network) as client:
        with pytest.raises(RequestRejected):
            await client.character("a/b?c ä")

    assert network.requests[0].url.raw_path == b"/v1/characters/a%2Fb%3Fc%20%C3%A4"


async def test_filters_that_are_not_given_are_left_out_of_the_query() -> None:
    network = Network(httpx.Response(200, json={"jobs": []}))
    async with client_of(network) as client:
        await client.jobs(status="running", limit=5)

    assert network.requests[0].url.query == b"status=running&limit=5"


async def test_a_condition_of_none_is_sent_to_the_notifier() -> None:
    network = Network(httpx.Response(202, json={"replayed": 3}))
    async with client_of(network) as client:
        replayed = await client.replay_webhooks(ReplayWebhooks(state=None))

    assert replayed.replayed == 3
    assert json.loads(network.requests[0].content)["state"] is None


async def test_an_operation_without_its_server_names_the_missing_url() -> None:
    async with Client(api_url="http://api", tenant="acme", user="ann") as client:
        with pytest.raises(ServerNotConfigured, match=r"Client\(notifier_url=...\)"):
            client.job_events(JOB_ID)


@pytest.mark.parametrize("url", ["api:8080", "ftp://api", "http://", "http://api:port", "/v1"])
def test_a_url_that_is_not_absolute_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^api_url: "):
        Client(api_url=url, tenant="acme", user="ann")


def an_image(url: str) -> ResultImage:
    return ResultImage.model_validate(
        {
            "index": 0,
            "label": "one",
            "url": url,
            "content_type": "image/png",
            "width": 1,
            "height": 1,
            "bytes": 3,
            "sha256": "0" * 64,
            "seed": 1,
            "prompt": "a portrait",
            "provider": "fal",
            "expires_at": "2030-01-01T00:00:00Z",
        }
    )


async def test_an_image_is_downloaded_without_the_callers_identity() -> None:
    network = Network(httpx.Response(200, content=b"png"))
    async with client_of(network) as client:
        assert await client.download(an_image("http://s3/a?signature=1")) == b"png"

    assert not {"x-tenant-id", "x-user-id"} & network.requests[0].headers.keys()


@pytest.mark.parametrize("answer", [httpx.Response(403), httpx.ConnectError("refused")])
async def test_a_link_that_cannot_be_read_is_reported_without_its_signature(answer: Answer) -> None:
    async with client_of(Network(answer)) as client:
        with pytest.raises(ServerUnavailable) as caught:
            await client.download(an_image("http://s3/a?signature=1"))

    assert (caught.value.server, caught.value.url) == ("storage", "http://s3/a")


def test_credentials_of_a_url_are_not_in_the_error() -> None:
    error: ImagegenError = ServerUnavailable("api", "http://ann:secret@api/x", "refused")

    assert str(error) == "the api at http://api/x is unavailable: refused"
