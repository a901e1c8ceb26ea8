"""The ComfyUI simulator compared with recordings of a real 0.27.1 server, exchange by exchange."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.contract.comfyui_simulated import Watcher, graph, idle, marks, run, simulator, watching

SAMPLES = Path(__file__).parent / "samples" / "comfyui"
RECORDINGS = (
    "01_success", "03_validation_errors", "04_execution_error", "05_cancel_queued",
    "06_interrupt_running", "07_unknown_ids", "08_duplicate_prompt_id",
    "12_queue_order_and_housekeeping", "19_server_restart",
)  # fmt: skip
FASTER = 0.25
FREE = {"traceback", "current_inputs", "current_outputs", "input_config", "details", "timings"}
"""Fields of a body that differ between two servers: tensors, stack frames, installed models."""
SHARED_TYPES = {"type", "status", "status_str", "class_type", "node_type", "error", "message"}


async def replay(client: httpx.AsyncClient, name: str, watcher: Watcher) -> list[tuple[Any, Any]]:
    """Repeat every recorded exchange, each at the same point of the jobs as when recorded."""
    compared = []
    recorded: list[dict[str, Any]] = []
    posted: set[str] = set()
    for event in json.loads((SAMPLES / f"{name}.json").read_text()):
        if event["kind"] == "ws":
            recorded.append(event["message"])
        elif event["kind"] == "note" and "SIGKILL" in event["text"]:
            await client.post("/_sim/forget")
        elif event["kind"] == "http":
            await watcher.reach(marks(recorded, posted))
            posted.add(_posted_id(event["request"]))
            answer = await client.request(**_request(event["request"]))
            assert answer.status_code == event["status"], event["note"]
            if name == "03_validation_errors":
                await idle(client)
            compared.append((event, answer))
    await watcher.reach(marks(recorded))
    return compared


def _posted_id(request: dict[str, Any]) -> str:
    body = request.get("json")
    return str(body.get("prompt_id")) if isinstance(body, dict) else ""


def _request(recorded: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(json.dumps(recorded))
    del request["path"]
    for node in request.get("json", {}).get("prompt", {}).values() if _has_graph(request) else ():
        if isinstance(node, dict) and "delay_ms" in node.get("inputs", {}):
            node["inputs"]["delay_ms"] *= FASTER
    return request | {"url": recorded["path"]}


def _has_graph(request: dict[str, Any]) -> bool:
    body = request.get("json")
    return isinstance(body, dict) and isinstance(body.get("prompt"), dict)


def shape(value: Any, key: str = "") -> Any:
    """Return the structure of a value: keys, types and protocol words, but no ids, times or numbers."""
    if key in FREE:
        return key
    if isinstance(value, dict):
        if key in ("outputs", "meta", "node_errors"):
            return {name: shape(item) for name, item in sorted(value.items())}
        return {_name(name): shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item, key) for item in value]
    return value if key in SHARED_TYPES else type(value).__name__.replace("float", "int")


def _name(key: str) -> str:
    return "<id>" if len(key) == 36 and key.count("-") == 4 else key


def _client_id(name: str) -> str:
    events = json.loads((SAMPLES / f"{name}.json").read_text())
    posted = [event["request"].get("json") for event in events if event["kind"] == "http"]
    ids = (body.get("client_id") for body in posted if isinstance(body, dict))
    return next((client_id for client_id in ids if client_id), str(uuid4()))


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recorded_session_gets_the_recorded_answers(name: str) -> None:
    async with simulator() as client, watching(client, _client_id(name)) as watcher:
        if name == "19_server_restart":
            await run(client, graph(prefix="prerestart"))
        for event, answer in await replay(client, name, watcher):
            _compare(event, answer)


def _compare(event: dict[str, Any], answer: httpx.Response) -> None:
    kind = event["headers"].get("content-type", "")
    if event["status"] < 404:
        assert answer.headers.get("content-type", "") == kind
    if kind.startswith("application/json"):
        assert shape(answer.json()) == shape(event["body"]), event["request"]
    elif kind.startswith("image/"):
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == event["headers"]["content-disposition"]
        assert answer.content[:4].hex() == event["body"]["_head_hex"][:8]
        assert set(event["headers"]) & {"etag", "accept-ranges"} <= set(answer.headers)
    else:
        assert answer.text == event["body"]


async def test_the_messages_of_a_run_come_in_the_recorded_order() -> None:
    name = "01_success"
    async with simulator() as client, watching(client, _client_id(name)) as watcher:
        await replay(client, name, watcher)
        events = json.loads((SAMPLES / f"{name}.json").read_text())
        recorded = [event["message"] for event in events if event["kind"] == "ws"]
        assert watcher.order == [message["type"] for message in recorded]
        for message, expected in zip(watcher.seen, recorded, strict=True):
            assert shape(message) == shape(expected)
