"""Rejections of the ComfyUI simulator before and beside its queue, as at a real server."""

import asyncio
import json
import struct
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui import create_app
from deploy.simulators.serving import running
from services.gateways.comfyui.progress_hints import Socket
from services.gateways.kit.provider import ProgressHint
from tests.contract.comfyui_simulated import graph, simulator

MAX_BYTES = 20_000


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        (None, {"Origin": "https://evil.example"}, 403),
        (None, {"Origin": "http://127.0.0.1:1"}, 403),
        (None, {"Origin": "http://localhost"}, 403),
        (None, {"Sec-Fetch-Site": "cross-site"}, 403),
        (None, {"Sec-Fetch-Site": "same-origin"}, 200),
        (None, {"Origin": "null"}, 200),
        (None, {"Origin": "http://127.0.0.1"}, 200),
        ("localhost", {"Origin": "http://localhost:3000"}, 200),
        ("comfy.example:8188", {"Origin": "https://evil.example"}, 200),
        (None, {}, 200),
    ],
)
async def test_a_page_of_another_site_is_rejected_on_loopback(
    host: str | None, headers: dict[str, str], status: int
) -> None:
    given = headers | ({"Host": host} if host else {})
    async with simulator() as client:
        answer = await client.get("/queue", headers=given)
        posted = await client.post("/prompt", json={"prompt": graph()}, headers=given)
    assert (answer.status_code, posted.status_code) == (status, status)
    if status == 403:
        assert answer.content == b""


async def test_a_page_of_the_server_is_served_and_a_foreign_page_gets_no_websocket() -> None:
    async with simulator() as client:
        url = str(client.base_url).rstrip("/")
        assert (await client.get("/queue", headers={"Origin": url})).status_code == 200
        with pytest.raises(InvalidStatus) as rejected:
            await connect(f"{url.replace('http', 'ws')}/ws", origin="https://evil.example")  # type: ignore[arg-type]
        assert rejected.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt", "/upload/image", "/queue"])
async def test_a_body_above_the_limit_is_too_large(path: str) -> None:
    async with (
        running(create_app(max_bytes=MAX_BYTES)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        large = await client.post(path, content=b"x" * (MAX_BYTES + 1))
        assert (large.status_code, large.headers["content-type"]) == (413, "text/plain; charset=utf-8")
        assert (
            large.text == f"Maximum request body size {MAX_BYTES} exceeded, actual body size {MAX_BYTES + 1}"
        )
        small = await client.post("/queue", json={"delete": ["x" * (MAX_BYTES // 2)]})
        assert small.status_code == 200


async def test_json_names_its_charset() -> None:
    async with simulator() as client:
        for path in ("/queue", "/object_info", "/system_stats", "/api/jobs", "/api/jobs/none"):
            answer = await client.get(path)
            assert answer.headers["content-type"] == "application/json; charset=utf-8", path


async def messages_of_a_run(*, flags: bool, client_id: str | None = "watcher") -> list[str | bytes]:
    """Run a prompt of four steps and return the messages of its websocket."""
    async with (
        running(create_app(Behaviour(latency_seconds=0.04, concurrency=1))) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
        connect(f"{url.replace('http', 'ws')}/ws?clientId=watcher") as socket,
    ):
        if flags:
            data = {"supports_preview_metadata": True}
            await socket.send(json.dumps({"type": "feature_flags", "data": data}))
            while json.loads(await socket.recv())["type"] != "feature_flags":
                pass
        body: dict[str, Any] = {"prompt": graph(), "prompt_id": str(uuid4()), "client_id": client_id}
        await client.post("/prompt", json={key: value for key, value in body.items() if value})
        seen: list[str | bytes] = []
        async with asyncio.timeout(5):
            while len([each for each in seen if isinstance(each, bytes)]) < 4:
                seen.append(await socket.recv())
        return seen


@pytest.mark.parametrize("client_id", ["watcher", None])
async def test_a_sampler_sends_binary_previews_with_a_header_of_eight_bytes(client_id: str | None) -> None:
    previews = [
        each for each in await messages_of_a_run(flags=False, client_id=client_id) if isinstance(each, bytes)
    ]
    for preview in previews:
        assert struct.unpack(">II", preview[:8]) == (1, 1)
        assert preview[8:10] == b"\xff\xd8", "a JPEG"


async def test_a_client_that_announces_it_gets_previews_with_metadata() -> None:
    previews = [each for each in await messages_of_a_run(flags=True) if isinstance(each, bytes)]
    for preview in previews:
        kind, length = struct.unpack(">II", preview[:8])
        about = json.loads(preview[8 : 8 + length])
        assert kind == 4
        assert (about["node_id"], about["image_type"]) == ("6", "image/jpeg")
        assert preview[8 + length :][:2] == b"\xff\xd8"


async def test_the_gateway_skips_previews_and_receives_the_steps() -> None:
    app = create_app(Behaviour(latency_seconds=0.04, concurrency=1))
    async with running(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        socket, prompt_id = Socket(url, "ours"), str(uuid4())
        socket.steps.expect(prompt_id, graph())
        progress_hints = socket.progress_hints()
        first = asyncio.create_task(anext(progress_hints))
        while not socket.is_open:
            await asyncio.sleep(0.01)
        body = {"prompt": graph(), "prompt_id": prompt_id, "client_id": "ours"}
        await client.post("/prompt", json=body)
        seen = [await first]
        async with asyncio.timeout(5):
            while seen[-1].percent is not None:
                seen.append(await anext(progress_hints))
        await progress_hints.aclose()
    assert {25, 50, 75, 100} <= {hint.percent for hint in seen}
    assert seen[-1] == ProgressHint(prompt_id)


@pytest.mark.parametrize(
    ("node", "field"),
    [("1", "ckpt_name"), ("2", "lora_name"), ("6", "sampler_name"), ("6", "scheduler")],
)
async def test_a_model_name_that_the_server_does_not_have_is_rejected(node: str, field: str) -> None:
    workflow = graph()
    workflow[node]["inputs"][field] = "my-own.safetensors"
    async with simulator() as client:
        answer = await client.post("/prompt", json={"prompt": workflow})
    assert answer.status_code == 400
    [error] = answer.json()["node_errors"][node]["errors"]
    assert (error["type"], error["extra_info"]["received_value"]) == (
        "value_not_in_list",
        "my-own.safetensors",
    )


async def test_a_long_list_is_not_written_into_an_error(tmp_path: Any) -> None:
    for number in range(30):
        (tmp_path / f"{number}.safetensors").touch()
    workflow = graph()
    workflow["2"]["inputs"]["lora_name"] = "nope.safetensors"
    async with simulator(tmp_path) as client:
        answer = await client.post("/prompt", json={"prompt": workflow})
    [error] = answer.json()["node_errors"]["2"]["errors"]
    assert error["details"] == "lora_name: 'nope.safetensors' not in (list of length 31)"
    assert error["extra_info"]["input_config"] is None
