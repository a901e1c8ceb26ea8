"""What only ComfyUI does: our prompt_id, queue before history, a 200 that is a refusal."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.runtime.provider import Broken, Done, NoAnswer, Refused
from shared.ids import uuid7
from tests.fakes.adapters import Rig, a_rig, quick_client
from tests.fakes.provider import an_order

REFERENCE, FACE = f"{uuid7()}/0", f"{uuid7()}/1"


WORKFLOW: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": "{{width}}", "height": 64, "batch_size": 1, "color": 1},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"}},
}


class OldServer:
    """A server from before `/api/jobs`; keeps what else it is told."""

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
    """Answers no cancel until it is told to."""

    def __init__(self) -> None:
        self.until_now = True

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self.until_now and scope.get("path", "").endswith("/cancel"):
                return await Response("away", 502)(scope, receive, send)
            return await app(scope, receive, send)

        return answer


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with a_rig("comfyui") as made:
        made.inputs.images.update({REFERENCE: b"reference", FACE: b"face"})
        yield made


async def test_a_plain_render_runs_the_base_template(rig: Rig) -> None:
    order = an_order("comfyui", seed=9, width=96)
    await rig.end(order, await rig.submit(order))
    [entry] = await rig.submission_log()
    graph = entry["input"]
    assert graph["5"]["inputs"]["seed"] == 9
    assert graph["4"]["inputs"]["width"] == 96
    assert graph["7"]["inputs"]["filename_prefix"] == f"imagegen/{order.uuid}"


@pytest.mark.parametrize(
    ("fields", "node", "name"),
    [({"reference": REFERENCE}, "8", REFERENCE), ({"reference": REFERENCE, "face": FACE}, "8", FACE)],
    ids=["reference", "face"],
)
async def test_input_images_are_uploaded_and_named_in_the_graph(
    rig: Rig, fields: dict[str, str], node: str, name: str
) -> None:
    order = an_order("comfyui", **fields)
    assert isinstance(await rig.end(order, await rig.submit(order)), Done)
    [entry] = await rig.submission_log()
    stored = entry["input"][node]["inputs"]["image"]
    assert stored == f"imagegen/{name.replace('/', '-')}"
    folder, _, file = stored.rpartition("/")
    where = {"filename": file, "subfolder": folder, "type": "input"}
    uploaded = await rig.http.get("/view", params=where)
    assert uploaded.content == rig.inputs.images[name]


async def test_the_callers_workflow_is_run_with_its_holes_filled(rig: Rig) -> None:
    order = an_order("comfyui", workflow=WORKFLOW, width=320)
    assert isinstance(await rig.end(order, await rig.submit(order)), Done)
    [entry] = await rig.submission_log()
    assert entry["input"]["1"]["inputs"]["width"] == 320
    assert entry["input"]["2"]["inputs"]["filename_prefix"] == f"imagegen/{order.uuid}"


BROKEN_WORKFLOW = WORKFLOW | {"3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}


@pytest.mark.parametrize(("state", "billed"), [("running", "yes"), ("queued", "no")])
async def test_a_200_with_node_errors_is_a_refusal_and_what_runs_of_it_is_stopped(
    rig: Rig, state: str, billed: str
) -> None:
    await rig.behave(latency_seconds=30)
    if state == "queued":
        await rig.submit(an_order("comfyui"))
    order = an_order("comfyui", workflow=BROKEN_WORKFLOW)
    handle = await rig.submit(order)
    await rig.reach(order, {"id": order.uuid}, state)
    news = await rig.end(order, handle)
    assert isinstance(news, Broken)
    assert (news.code, news.retryable, news.billed) == ("invalid_workflow", False, billed)
    assert "node 3 (SaveImage)" in news.message
    assert (await rig.submission_log())[-1]["state"] == "cancelled"


async def test_a_refused_workflow_whose_stop_is_not_answered_is_followed_until_it_has_stopped() -> None:
    deaf = Deaf()
    async with a_rig("comfyui", wrap=deaf.wrap, latency_seconds=30) as rig:
        order = an_order("comfyui", workflow=BROKEN_WORKFLOW)
        handle = await rig.submit(order)
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await rig.provider.poll(order, handle)
        assert [entry["state"] for entry in await rig.submission_log()] == ["running"]
        deaf.until_now = False
        news = await rig.end(order, handle)
    assert isinstance(news, Broken)
    assert news.code == "invalid_workflow"


async def test_a_refused_workflow_that_ran_to_its_end_all_the_same_is_no_success(rig: Rig) -> None:
    order = an_order("comfyui", workflow=BROKEN_WORKFLOW)
    handle = await rig.submit(order)
    assert isinstance(await rig.end(order, {"id": order.uuid}), Done)
    news = await rig.provider.poll(order, handle)
    assert isinstance(news, Broken)
    assert (news.code, news.billed) == ("invalid_workflow", "yes")


async def test_whatever_is_in_the_queue_is_listed_whoever_sent_it(rig: Rig) -> None:
    await rig.behave(latency_seconds=30)
    assert isinstance(rig.provider, ComfyUIProvider)
    assert await rig.provider.unfinished() == frozenset()
    orders = [an_order("comfyui") for _ in range(3)]
    handles = [await rig.submit(order) for order in orders]
    assert await rig.provider.unfinished() == {order.uuid for order in orders}
    await rig.provider.cancel(orders[2], handles[2])
    assert await rig.provider.unfinished() == {order.uuid for order in orders[:2]}


async def test_a_model_that_is_not_installed_is_refused(rig: Rig) -> None:
    settings = ComfyUISettings(base_url=rig.url, checkpoint="missing.safetensors")
    async with quick_client(5.0) as http:
        provider, order = ComfyUIProvider(http, settings, rig.inputs), an_order("comfyui")
        with pytest.raises(Refused) as raised:
            await provider.submit(order, await provider.prepare(order))
    assert "ckpt_name" in raised.value.message
    assert await rig.submission_log() == []


async def test_an_old_server_gets_a_delete_and_an_interrupt_of_this_prompt_only() -> None:
    servers: list[OldServer] = []

    def old(app: ASGIApp) -> OldServer:
        servers.append(OldServer(app))
        return servers[0]

    async with a_rig("comfyui", wrap=old, latency_seconds=30) as rig:
        orders = [an_order("comfyui") for _ in range(3)]
        handles = [await rig.submit(order) for order in orders]
        await rig.reach(orders[0], handles[0], "running")
        await rig.provider.cancel(orders[1], handles[1])
        assert [entry["state"] for entry in await rig.submission_log()] == ["running", "cancelled", "queued"]
        await rig.provider.cancel(orders[0], handles[0])
        await rig.end(orders[0], handles[0])
        await rig.reach(orders[2], handles[2], "running")
    ids = [order.uuid for order in orders]
    assert servers[0].told == [
        ("/queue", {"delete": [ids[1]]}),
        ("/interrupt", {"prompt_id": ids[1]}),
        ("/queue", {"delete": [ids[0]]}),
        ("/interrupt", {"prompt_id": ids[0]}),
    ]
