"""Requests recorded from fal's own client and a webhook signed by fal, compared with the adapter."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from contracts.renders import Output
from services.gateways.fal.adapter import FalProvider
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.signatures import Keys, NotFromFal, verify
from services.gateways.kit.provider import AttemptRequest, Completed
from shared.clock import now
from tests.contract.recording import events_of
from tests.fakes.provider import FakeInputs, an_attempt_request

QUEUE = "https://queue.fal.run"
WEBHOOK = "https://gw.example/hook?job=1&a=b"
KEY = "lab-id:lab-secret"

Sample = Any
Scenario = Callable[[Sample], Awaitable[None]]


class Fal:
    """A minimal fal that records the requests it gets."""

    def __init__(self, result: Any) -> None:
        self.requests: list[httpx.Request] = []
        self._result = result
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), verify=False)
        settings = FalSettings(key=SecretStr(KEY))
        self.provider = FalProvider(self.http, settings, FakeInputs(), lambda attempt_id: WEBHOOK)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        end = request.url.path.rpartition("/")[2]
        said = {"status": {"status": "COMPLETED"}, "dev": {"request_id": "RID"}, "RID": self._result}
        return httpx.Response(202 if end == "cancel" else 200, json=said.get(end, {}))

    async def submitted(self) -> tuple[AttemptRequest, dict[str, str]]:
        request = an_attempt_request(prompt="x", deadline_at=now() + timedelta(seconds=30))
        return request, await self.provider.submit(request, await self.provider.prepare(request))


async def client_wire(sample: Sample) -> None:
    """The adapter's submit, status, result and cancel requests equal those of fal's client, credentials
    included."""
    recorded = {_call(each["method"], each["url"]): each["headers"] for each in sample}
    uploads = {call for call in recorded if not call[1].startswith(QUEUE)}
    assert len(uploads) == 2, "the adapter uploads nothing, inputs are signed links"
    fal = Fal({"images": [{"url": "https://v3.fal.media/a.png"}]})
    request, ref = await fal.submitted()
    await fal.provider.poll(request, ref)
    await fal.provider.cancel(request, ref)
    made = {_call(each.method, str(each.url)): each.headers for each in fal.requests}
    assert made.keys() == recorded.keys() - uploads
    for call, headers in made.items():
        assert headers["authorization"] == recorded[call]["authorization"] == f"Key {KEY}"
        assert headers.get("content-type") == recorded[call].get("content-type")
    submit = _call(
        "POST", f"{QUEUE}/fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fgw.example%2Fhook%3Fjob%3D1%26a%3Db"
    )
    assert made[submit]["x-fal-no-retry"] == recorded[submit]["x-fal-no-retry"]
    limits = [float(headers[submit]["x-fal-request-timeout"]) for headers in (made, recorded)]
    assert limits == [pytest.approx(30, abs=2), 30], "seconds until the start"
    cancel = _call("PUT", f"{QUEUE}/fal-ai/flux/requests/RID/cancel")
    assert made[cancel]["content-length"] == recorded[cancel]["content-length"] == "0"


async def webhook_vector(sample: Sample) -> None:
    """The recorded webhook verifies at its time only, and its payload is a result that the adapter reads."""
    keys = Keys(_published(sample["jwks"]), "https://rest.fal.ai")
    headers = {name.lower(): value for name, value in sample["headers"].items()}
    body, at = sample["body"].encode(), int(headers["x-fal-webhook-timestamp"])
    assert await verify(headers, body, keys, at) == ("RID", "user-1")
    for tampered in (body + b" ", body.replace(b"OK", b"KO")):
        with pytest.raises(NotFromFal):
            await verify(headers, tampered, keys, at)
    with pytest.raises(NotFromFal):
        await verify(headers, body, keys, at + 301)
    fal = Fal(json.loads(body)["payload"])
    request, ref = await fal.submitted()
    output = Output(url="https://v3.fal.media/files/x/y.png", content_type="image/jpeg")
    assert await fal.provider.poll(request, ref) == Completed((output,), seed=7)


SCENARIOS: dict[str, Scenario] = {"client_wire": client_wire, "webhook_vector": webhook_vector}


async def play(name: str) -> None:
    """Compare the adapter with a sample."""
    await SCENARIOS[name](events_of(f"fal/{name}"))


def _published(jwks: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=jwks)), verify=False
    )


def _call(method: str, url: str) -> tuple[str, str]:
    """Return method and URL without the parameter for logs, which callers choose freely."""
    return method, url.partition("?logs=")[0]
