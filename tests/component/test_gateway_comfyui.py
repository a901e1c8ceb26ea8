"""Behaviour of ComfyUI only: our prompt_id, queue before history, a 200 that is a rejection."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.provider import Completed, Failed, Rejected, StatusUnavailable
from shared.ids import uuid7
from tests.fakes.adapters import AdapterHarness, an_adapter_harness, quick_client
from tests.fakes.provider import an_attempt_request

REFERENCE, FACE = f"{uuid7()}/0", f"{uuid7()}/1"


WORKFLOW: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": "{{width}}", "height": 64, "batch_size": 1, "color": 1},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"}},
}


class OldServer:
    """A server without `/api/jobs`, as before 0.6."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.told: list[tuple[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/api/jobs"):
            return await Response(status_code=405)(scope, receive, send)
        if path in ("/queue", "/interrupt") and scope["method"] == "POST":
            request = Request(scope, receive)
            body = await request.body()
            self.told.append((path, json.loads(body) if body else None))

            async def again() -> Any:
                return {"type": "http.request", "body": body}

            return await self._app(scope, again, send)
        return await self._app(scope, receive, send)


class Deaf:
    """Answers no cancel until a test allows it."""

    def __init__(self) -> None:
        self.until_now = True

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self.until_now and scope.get("path", "").endswith("/cancel"):
                return await Response("away", 502)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with an_adapter_harness("comfyui") as made:
        made.inputs.images.update({REFERENCE: b"reference", FACE: b"face"})
        yield made


async def test_a_plain_render_runs_the_base_template(harness: AdapterHarness) -> None:
    request = an_attempt_request("comfyui", seed=9, width=96)
    await harness.end(request, await harness.submit(request))
    [entry] = await harness.submission_log()
    graph = entry["input"]
    assert graph["5"]["inputs"]["seed"] == 9
    assert graph["4"]["inputs"]["width"] == 96
    assert graph["7"]["inputs"]["filename_prefix"] == f"imagegen/{request.idempotency_key}"


@pytest.mark.parametrize(
    ("fields", "node", "name"),
    [({"reference": REFERENCE}, "8", REFERENCE), ({"reference": REFERENCE, "face": FACE}, "8", FACE)],
    ids=["reference", "face"],
)
async def test_input_images_are_uploaded_and_named_in_the_graph(
    harness: AdapterHarness, fields: dict[str, str], node: str, name: str
) -> None:
    request = an_attempt_request("comfyui", **fields)
    assert isinstance(await harness.end(request, await harness.submit(request)), Completed)
    [entry] = await harness.submission_log()
    stored = entry["input"][node]["inputs"]["image"]
    assert stored == f"imagegen/{name.replace('/', '-')}"
    folder, _, file = stored.rpartition("/")
    where = {"filename": file, "subfolder": folder, "type": "input"}
    uploaded = await harness.http.get("/view", params=where)
    assert uploaded.content == harness.inputs.images[name]


async def test_the_callers_workflow_is_run_with_its_holes_filled(harness: AdapterHarness) -> None:
    request = an_attempt_request("comfyui", workflow=WORKFLOW, width=320)
    assert isinstance(await harness.end(request, await harness.submit(request)), Completed)
    [entry] = await harness.submission_log()
    assert entry["input"]["1"]["inputs"]["width"] == 320
    assert entry["input"]["2"]["inputs"]["filename_prefix"] == f"imagegen/{request.idempotency_key}"


BROKEN_WORKFLOW = WORKFLOW | {"3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}


@pytest.mark.parametrize(("state", "billed"), [("running", "yes"), ("queued", "no")])
async def test_a_200_with_node_errors_is_a_refusal_and_what_runs_of_it_is_stopped(
    harness: AdapterHarness, state: str, billed: str
) -> None:
    await harness.behave(latency_seconds=30)
    if state == "queued":
        await harness.submit(an_attempt_request("comfyui"))
    request = an_attempt_request("comfyui", workflow=BROKEN_WORKFLOW)
    ref = await harness.submit(request)
    await harness.reach(request, {"id": request.idempotency_key}, state)
    status = await harness.end(request, ref)
    assert isinstance(status, Failed)
    assert (status.code, status.retryable, status.billed) == ("invalid_workflow", False, billed)
    assert "node 3 (SaveImage)" in status.message
    assert (await harness.submission_log())[-1]["state"] == "cancelled"


async def test_a_refused_workflow_whose_stop_is_not_answered_is_followed_until_it_has_stopped() -> None:
    deaf = Deaf()
    async with an_adapter_harness("comfyui", wrap=deaf.wrap, latency_seconds=30) as harness:
        request = an_attempt_request("comfyui", workflow=BROKEN_WORKFLOW)
        ref = await harness.submit(request)
        for _ in range(3):
            with pytest.raises(StatusUnavailable):
                await harness.provider.poll(request, ref)
        assert [entry["state"] for entry in await harness.submission_log()] == ["running"]
        deaf.until_now = False
        status = await harness.end(request, ref)
    assert isinstance(status, Failed)
    assert status.code == "invalid_workflow"


async def test_a_rejected_workflow_that_ran_to_its_end_is_no_success(
    harness: AdapterHarness,
) -> None:
    request = an_attempt_request("comfyui", workflow=BROKEN_WORKFLOW)
    ref = await harness.submit(request)
    assert isinstance(await harness.end(request, {"id": request.idempotency_key}), Completed)
    status = await harness.provider.poll(request, ref)
    assert isinstance(status, Failed)
    assert (status.code, status.billed) == ("invalid_workflow", "yes")


async def test_whatever_is_in_the_queue_is_listed_whoever_sent_it(harness: AdapterHarness) -> None:
    await harness.behave(latency_seconds=30)
    assert isinstance(harness.provider, ComfyUIProvider)
    assert await harness.provider.unfinished() == frozenset()
    orders = [an_attempt_request("comfyui") for _ in range(3)]
    refs = [await harness.submit(request) for request in orders]
    assert await harness.provider.unfinished() == {request.idempotency_key for request in orders}
    await harness.provider.cancel(orders[2], refs[2])
    assert await harness.provider.unfinished() == {request.idempotency_key for request in orders[:2]}


async def test_a_model_that_is_not_installed_is_refused(harness: AdapterHarness) -> None:
    settings = ComfyUISettings(base_url=harness.url, checkpoint="missing.safetensors")
    async with quick_client(5.0) as http:
        provider, request = ComfyUIProvider(http, settings, harness.inputs), an_attempt_request("comfyui")
        with pytest.raises(Rejected) as raised:
            await provider.submit(request, await provider.prepare(request))
    assert "ckpt_name" in raised.value.message
    assert await harness.submission_log() == []


async def test_an_old_server_gets_a_delete_and_an_interrupt_of_this_prompt_only() -> None:
    servers: list[OldServer] = []

    def old(app: ASGIApp) -> OldServer:
        servers.append(OldServer(app))
        return servers[0]

    async with an_adapter_harness("comfyui", wrap=old, latency_seconds=30) as harness:
        orders = [an_attempt_request("comfyui") for _ in range(3)]
        refs = [await harness.submit(request) for request in orders]
        await harness.reach(orders[0], refs[0], "running")
        await harness.provider.cancel(orders[1], refs[1])
        assert [entry["state"] for entry in await harness.submission_log()] == [
            "running",
            "cancelled",
            "queued",
        ]
        await harness.provider.cancel(orders[0], refs[0])
        await harness.end(orders[0], refs[0])
        await harness.reach(orders[2], refs[2], "running")
    ids = [request.idempotency_key for request in orders]
    assert servers[0].told == [
        ("/queue", {"delete": [ids[1]]}),
        ("/interrupt", {"prompt_id": ids[1]}),
        ("/queue", {"delete": [ids[0]]}),
        ("/interrupt", {"prompt_id": ids[0]}),
    ]


async def test_a_model_is_the_checkpoint_of_the_run(harness: AdapterHarness) -> None:
    request = an_attempt_request("comfyui", model="juggernautXL_v9.safetensors")
    assert isinstance(await harness.end(request, await harness.submit(request)), Completed)
    [entry] = await harness.submission_log()
    assert entry["input"]["1"]["inputs"]["ckpt_name"] == "juggernautXL_v9.safetensors"


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"model": "no-such.safetensors"}, "invalid_workflow", "no-such.safetensors"),
        ({"model": "sdxl"}, "unsupported", "is no checkpoint of a ComfyUI server"),
        ({"model": "x.safetensors", "workflow": WORKFLOW}, "unsupported", "names its own models"),
    ],
)
async def test_a_model_that_cannot_be_used_is_refused(
    harness: AdapterHarness, fields: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(Rejected) as raised:
        await harness.submit(an_attempt_request("comfyui", **fields))
    assert (raised.value.code, words in raised.value.message) == (code, True)
    assert await harness.submission_log() == []
