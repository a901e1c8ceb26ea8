"""ComfyUI graphs run against the simulator, which replays a real server's recordings."""

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.modal.comfyui import (
    ComfyServer,
    ServerDown,
    WorkflowFailed,
    WorkflowRefused,
    files_of,
    model_paths,
)
from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui import create_app
from deploy.simulators.serving import running

GRAPH: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 3368652},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "lab"}},
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.Client]:
    app = create_app(Behaviour(latency_seconds=0.02, tiny=True, concurrency=1))
    async with running(app) as url:
        with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=5) as client:
            yield client


async def run(http: httpx.Client, graph: dict[str, Any]) -> Any:
    return await asyncio.to_thread(ComfyServer(http, poll_interval=0.005).run, graph)


async def test_a_graph_gives_its_saved_files(http: httpx.Client) -> None:
    [file] = await run(http, GRAPH)
    assert file.name.endswith(".png")
    assert file.data.startswith(b"\x89PNG")


async def test_an_invalid_graph_is_rejected_by_node(http: httpx.Client) -> None:
    wrong = copy.deepcopy(GRAPH)
    wrong["1"]["inputs"]["width"] = 0
    with pytest.raises(WorkflowRefused, match=r"EmptyImage \(node 1\)"):
        await run(http, wrong)


async def test_a_partly_invalid_graph_is_rejected_and_cancelled(http: httpx.Client) -> None:
    partly = copy.deepcopy(GRAPH) | {"3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    with pytest.raises(WorkflowRefused, match="left out"):
        await run(http, partly)
    queue = (await asyncio.to_thread(http.get, "/queue")).json()
    assert queue["queue_pending"] == []


async def test_a_node_that_fails_is_named(http: httpx.Client) -> None:
    await asyncio.to_thread(http.post, "/_sim/behaviour", json={"next_faults": ["fail", "oom"]})
    for retryable in (False, True):
        with pytest.raises(WorkflowFailed) as raised:
            await run(http, GRAPH)
        assert raised.value.retryable is retryable
        assert "node" in str(raised.value)


async def test_a_server_that_lost_the_graph_or_does_not_answer_is_a_retryable_failure(
    http: httpx.Client,
) -> None:
    await asyncio.to_thread(http.post, "/_sim/behaviour", json={"latency_seconds": 30})
    working = asyncio.create_task(run(http, GRAPH))
    async with asyncio.timeout(2):
        while not (await asyncio.to_thread(http.get, "/queue")).json()["queue_running"]:
            await asyncio.sleep(0.005)
    await asyncio.to_thread(http.post, "/_sim/forget")
    with pytest.raises(ServerDown):
        await working
    away = httpx.Client(base_url="http://127.0.0.1:9", trust_env=False, verify=False)
    with pytest.raises(ServerDown) as raised:
        await run(away, GRAPH)
    assert raised.value.retryable


async def test_start_up_waits_for_the_server(http: httpx.Client) -> None:
    await asyncio.to_thread(ComfyServer(http).wait_until_up, 1)
    away = httpx.Client(base_url="http://127.0.0.1:9", trust_env=False, verify=False)
    with pytest.raises(ServerDown):
        await asyncio.to_thread(ComfyServer(away, poll_interval=0.01).wait_until_up, 0.03)


def test_a_cancelled_call_stops_its_graph_and_no_other() -> None:
    sent: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.path, request.content.decode()))
        if request.url.path == "/queue" and request.method == "GET":
            raise KeyboardInterrupt  # as when Modal interrupts a function
        return httpx.Response(200, json={})

    http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://comfy", verify=False)
    with pytest.raises(KeyboardInterrupt):
        ComfyServer(http).run(GRAPH)
    paths = [path for path, _ in sent]
    assert paths == ["/prompt", "/queue", "/queue", "/interrupt"]
    assert '"prompt_id":"' in sent[-1][1].replace(" ", "")


def test_previews_are_no_outputs() -> None:
    preview = {"filename": "p.png", "subfolder": "", "type": "temp"}
    entry = {"status": {"status_str": "success"}, "outputs": {"2": {"images": [preview]}}}
    with pytest.raises(WorkflowFailed, match="saved nothing"):
        files_of({}, entry)


def test_the_volume_is_a_model_folder_of_comfyui() -> None:
    text = model_paths(Path("/models/comfyui"))
    assert "  base_path: /models/comfyui\n" in text
    assert "  checkpoints: checkpoints/\n" in text
