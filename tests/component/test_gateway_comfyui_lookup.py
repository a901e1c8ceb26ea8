"""Large queues of other people: a prompt is found by its own id, and memory stays small."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.provider import Completed, Failed, InProgress, Rejected, StatusUnavailable
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter_harness, lookup_of
from tests.fakes.provider import FakeInputs, an_attempt_request

FOREIGN = 26
METADATA_BYTES = 200_000
OWN = 70
WORKFLOW_BYTES = 80_000
MEGABYTE = 1024 * 1024


class Watched:
    """The simulator; counts who asks for what, and can be a server from before `/api/jobs`."""

    def __init__(self, *, old: bool = False) -> None:
        self.asked: list[str] = []
        self.old = old

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            if scope["type"] == "http" and scope["method"] == "GET" and not path.startswith("/_sim"):
                self.asked.append("/".join(path.split("/")[:3]))
            if self.old and path.startswith("/api/jobs"):
                return await PlainTextResponse("404: Not Found", 404)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


def foreign_prompt(number: int) -> dict[str, Any]:
    """A prompt from another user's editor: a graph, and far more metadata."""
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": number},
        },
        "2": {
            "class_type": "LabSlow",
            "inputs": {"image": ["1", 0], "steps": 1000, "delay_ms": 1000, "preview": False},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "theirs"}},
    }
    notes = ('a "quoted" note, a brace } and a bracket ] ' + 957 * "x") * (METADATA_BYTES // 1000)
    return {"prompt": graph, "extra_data": {"extra_pnginfo": {"workflow": {"id": "w", "notes": notes}}}}


@asynccontextmanager
async def crowded(watched: Watched, **behaviour: Any) -> AsyncIterator[AdapterHarness]:
    """A server on which other people wait before us."""
    async with an_adapter_harness("comfyui", wrap=watched.wrap, **behaviour) as harness:
        for number in range(FOREIGN):
            taken = await harness.http.post("/prompt", json=foreign_prompt(number))
            assert taken.status_code == 200, taken.text
        answer = await harness.http.get("/queue")
        assert len(answer.content) > 4 * MEGABYTE
        watched.asked.clear()
        yield harness


@pytest.mark.parametrize("old", [False, True])
async def test_a_prompt_behind_megabytes_of_foreign_ones_is_found_and_followed(old: bool) -> None:
    watched = Watched(old=old)
    async with crowded(watched) as harness:
        request = an_attempt_request("comfyui")
        ref = await harness.submit(request)
        assert await lookup_of(harness.provider).find(request) == {"id": request.idempotency_key}
        assert await harness.provider.poll(request, ref) == InProgress("queued", queue_position=FOREIGN - 1)
        assert isinstance(harness.provider, ComfyUIProvider)
        there = await harness.provider.unfinished()
        assert request.idempotency_key in there
        assert len(there) == FOREIGN + 1
        await harness.provider.cancel(request, ref)
        status = await harness.end(request, ref)
        assert isinstance(status, Failed)
        assert status.code == "lost"


async def test_many_polls_read_one_list_and_each_prompt_by_its_id() -> None:
    watched = Watched()
    async with crowded(watched) as harness:
        orders = [an_attempt_request("comfyui") for _ in range(5)]
        refs = [await harness.submit(request) for request in orders]
        for request, ref in zip(orders, refs, strict=True):
            for _ in range(4):
                assert isinstance(await harness.provider.poll(request, ref), InProgress)
        assert "/queue" not in watched.asked, "it holds everybody's graphs"
        assert watched.asked.count("/api/jobs") == 21
        assert not [path for path in watched.asked if path.startswith("/history")]


async def test_many_renders_of_our_own_with_large_workflows_all_end() -> None:
    padding = "x" * WORKFLOW_BYTES
    workflow = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"},
            "_meta": {"title": padding},
        },
    }
    async with an_adapter_harness("comfyui", latency_seconds=0.0) as harness:
        orders = [an_attempt_request("comfyui", workflow=workflow) for _ in range(OWN)]
        refs = [await harness.submit(request) for request in orders]
        ends = await asyncio.gather(*(harness.end(*each) for each in zip(orders, refs, strict=True)))
        assert all(isinstance(status, Completed) for status in ends)


class LongQueue(httpx.AsyncByteStream):
    """A queue of `items` prompts with a megabyte each, made while it is read."""

    def __init__(self, items: int) -> None:
        self._items = items

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"queue_running": [], "queue_pending": [[1, "first", {}, {}, []]'
        for number in range(self._items):
            yield b', [%d, "%s", {"1": {"is_changed": [NaN]}}, {"notes": "' % (number, str(uuid7()).encode())
            for _ in range(MEGABYTE // 65536):
                yield rb"\" [{" + b"x" * 65_500
            yield b'"}, ["1"]]'
        yield b"]}"


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> ComfyUIProvider:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), verify=False)
    return ComfyUIProvider(http, ComfyUISettings(base_url="http://comfyui"), FakeInputs())


def no_route() -> httpx.Response:
    return httpx.Response(404, text="404: Not Found")


async def test_memory_does_not_grow_with_what_others_have_in_the_queue() -> None:
    peaks: list[int] = []
    for items in (4, 64):
        answers = {"/queue": lambda items=items: httpx.Response(200, stream=LongQueue(items))}
        provider = answering(lambda request, of=answers: of.get(request.url.path, no_route)())  # type: ignore[misc]
        tracemalloc.start()
        assert len(await provider.unfinished()) == items + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < MEGABYTE, "64 MB were read"


async def test_a_job_that_is_another_ones_is_no_answer() -> None:
    provider = answering(lambda _: httpx.Response(200, json={"id": "other", "status": "in_progress"}))
    with pytest.raises(StatusUnavailable):
        await lookup_of(provider).find(an_attempt_request("comfyui"))


async def test_a_refusal_that_lists_every_installed_model_is_still_read() -> None:
    models = [f"model-{number:06}.safetensors" for number in range(200_000)]
    error = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "ckpt_name: 'x' not in (list of length 200000)",
        "extra_info": {"input_name": "ckpt_name", "input_config": [models, {}]},
    }
    body = {"error": {}, "node_errors": {"1": {"errors": [error], "class_type": "CheckpointLoaderSimple"}}}
    provider, request = answering(lambda _: httpx.Response(400, json=body)), an_attempt_request("comfyui")
    with pytest.raises(Rejected) as raised:
        await provider.submit(request, {"prompt": {}, "prompt_id": request.idempotency_key})
    assert raised.value.code == "invalid_workflow"
    assert "node 1 (CheckpointLoaderSimple): Value not in list" in raised.value.message
