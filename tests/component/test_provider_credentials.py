"""A provider behind a proxy that asks for Basic authentication: its address names user and password."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.base import PROVIDERS, Provider
from contracts.renders import Output
from services.gateways.comfyui.progress_hints import Socket
from services.gateways.kit.provider import Completed, NotAccepted, StatusUnavailable
from services.result_store.fetching import HttpFetch, OutputNotReady, Source
from tests.fakes.adapters import KEY, AdapterHarness, an_adapter, an_adapter_harness, quick_client
from tests.fakes.provider import an_attempt_request

BASIC = b"Basic dXMgZXI6cEBzcw=="
SECRETS = ("us%20er", "p%40ss", "us er", "p@ss", "dXMgZXI6cEBzcw")


def proxy(app: ASGIApp) -> ASGIApp:
    """Lets in who authenticates with Basic, and adds the key that Fal wants."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        inside = scope.get("path", "").startswith("/_sim")
        headers = [pair for pair in scope.get("headers", []) if pair[0] != b"authorization"]
        if not inside and (b"authorization", BASIC) not in scope.get("headers", []):
            await refuse(scope, send)
            return
        await app({**scope, "headers": [*headers, (b"authorization", f"Key {KEY}".encode())]}, receive, send)

    async def refuse(scope: Scope, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    return guarded


def with_password(url: str) -> str:
    return url.replace("://", "://us%20er:p%40ss@")


@asynccontextmanager
async def behind_a_proxy(name: Provider) -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness(name, wrap=proxy) as made, quick_client(5) as http:
        made.provider = an_adapter(made.name, http, with_password(made.url), made.inputs)
        yield made


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_render_runs_and_its_handle_names_no_password(name: Provider) -> None:
    async with behind_a_proxy(name) as harness:
        request = an_attempt_request(name)
        ref = await harness.submit(request)
        assert isinstance(await harness.end(request, ref), Completed)
    assert not [secret for secret in SECRETS if secret in json.dumps(ref)]


@pytest.mark.parametrize("name", ["modal", "comfyui"])
async def test_its_output_is_fetched(name: Provider) -> None:
    async with behind_a_proxy(name) as harness, quick_client(5) as http:
        request = an_attempt_request(name)
        status = await harness.end(request, await harness.submit(request))
        assert isinstance(status, Completed)
        source = Source(with_password(harness.url), {"Modal-Key": "k", "Modal-Secret": "s"})
        fetched = await HttpFetch(http, {name: source}, 10_000_000)(name, status.outputs[0])
    assert fetched.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_that_is_away_is_reported_without_its_password(name: Provider) -> None:
    async with quick_client(5) as http, an_adapter_harness(name) as other:
        url = with_password("http://127.0.0.1:1")
        provider = an_adapter(name, http, url, other.inputs)
        request = an_attempt_request(name)
        with pytest.raises(NotAccepted) as refused:
            await provider.submit(request, await provider.prepare(request))
        source = Source(url, {})
        output = Output(path="view?filename=x")
        with pytest.raises(OutputNotReady) as late:
            await HttpFetch(http, {name: source}, 100)(name, output)
    texts = [str(refused.value), repr(refused.value), str(late.value)]
    assert not [(secret, text) for secret in SECRETS for text in texts if secret in text]


async def test_comfyuis_websocket_authenticates_too() -> None:
    async with an_adapter_harness("comfyui", wrap=proxy) as harness:
        socket = Socket(with_password(harness.url), "c", silence=0.02)
        async with aclosing(socket.progress_hints()) as progress_hints:
            assert [hint async for hint in progress_hints] == []
        with pytest.raises(StatusUnavailable) as refused:
            await anext(Socket(harness.url, "c").progress_hints())
        assert "403" in str(refused.value) or "401" in str(refused.value)
