"""The ComfyUI simulator against recordings of a real 0.27.1 server, exchange by exchange."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui import create_app
from deploy.simulators.serving import running

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
MARKS = {"execution_start", "done", "progress"}


@dataclass
class Watcher:
    """One websocket client: keeps what arrived, and lets the replay wait for a point in it."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    async def read(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, str):  # previews are binary
                self.seen.append(json.loads(message))

    async def reach(self, marks: Counter[str]) -> None:
        async with asyncio.timeout(5):
            while True:
                if _marks(self.seen) >= marks:
                    return
                await asyncio.sleep(0.005)

    @property
    def order(self) -> list[str]:
        return [message["type"] for message in self.seen]


def _marks(messages: list[dict[str, Any]], posted: set[str] | None = None) -> Counter[str]:
    """Where the jobs are, told from their messages; progress counts once, whatever its steps.

    Messages were sometimes recorded before the answer of the request that caused them: those of
    jobs not yet `posted` again do not count.
    """
    marks: Counter[str] = Counter()
    started_by = 0
    for message in messages:
        kind, data = message["type"], message["data"]
        if posted is not None and data.get("prompt_id") not in posted:
            continue
        marks["execution_start"] += kind == "execution_start"
        marks["done"] += kind == "executing" and data["node"] is None
        if kind == "progress" and started_by != marks["execution_start"]:
            started_by = marks["execution_start"]
            marks["progress"] += 1
    return marks


@asynccontextmanager
async def simulator(lora_dir: Path | None = None) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Behaviour(latency_seconds=0, concurrency=1), lora_dir)
    async with running(app) as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield client


@asynccontextmanager
async def watching(client: httpx.AsyncClient, client_id: str) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    url = str(client.base_url).replace("http", "ws").rstrip("/")
    async with connect(f"{url}/ws?clientId={client_id}", proxy=None) as socket:
        await socket.send(json.dumps({"type": "feature_flags", "data": {}}))
        reading = asyncio.create_task(watcher.read(socket))
        yield watcher
        reading.cancel()


async def replay(client: httpx.AsyncClient, name: str, watcher: Watcher) -> list[tuple[Any, Any]]:
    """Every recorded exchange again, each at the same point of the jobs as when recorded."""
    compared = []
    recorded: list[dict[str, Any]] = []
    posted: set[str] = set()
    for event in json.loads((SAMPLES / f"{name}.json").read_text()):
        if event["kind"] == "ws":
            recorded.append(event["message"])
        elif event["kind"] == "note" and "SIGKILL" in event["text"]:
            await client.post("/_sim/forget")
        elif event["kind"] == "http":
            await watcher.reach(_marks(recorded, posted))
            posted.add(_posted_id(event["request"]))
            answer = await client.request(**_request(event["request"]))
            assert answer.status_code == event["status"], event["note"]
            if name == "03_validation_errors":
                await _idle(client)
            compared.append((event, answer))
    await watcher.reach(_marks(recorded))
    return compared


def _posted_id(request: dict[str, Any]) -> str:
    body = request.get("json")
    return str(body.get("prompt_id")) if isinstance(body, dict) else ""


async def _idle(client: httpx.AsyncClient) -> None:
    """The recording waited for these quick jobs without a websocket."""
    while True:
        if not (await client.get("/prompt")).json()["exec_info"]["queue_remaining"]:
            return
        await asyncio.sleep(0.005)


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
    """Keys, kinds and words of the protocol; not ids, times, numbers or what a server has on disk."""
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
async def test_a_recorded_session_gets_the_same_answers(name: str) -> None:
    async with simulator() as client, watching(client, _client_id(name)) as watcher:
        if name == "19_server_restart":
            await _run(client, _graph(prefix="prerestart"))
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
        for ours, theirs in zip(watcher.seen, recorded, strict=True):
            assert shape(ours) == shape(theirs)


def _graph(prefix: str = "sim", **sampler: Any) -> dict[str, Any]:
    """A portrait with a LoRA, as a workflow template would build it."""
    inputs = {
        "model": ["2", 0], "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["5", 0],
        "seed": 7, "steps": 4, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1.0,
    }  # fmt: skip
    lora = {
        "model": ["1", 0],
        "clip": ["1", 1],
        "lora_name": "detail.safetensors",
        "strength_model": 1,
        "strength_clip": 1,
    }
    save = {"images": ["7", 0], "filename_prefix": prefix}
    text = sampler.pop("text", "a golden portrait")
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
        "2": {"class_type": "LoraLoader", "inputs": lora},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["2", 1]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["2", 1]}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 192, "height": 256, "batch_size": 1},
        },
        "6": {"class_type": "KSampler", "inputs": inputs | sampler},
        "7": {"class_type": "VAEDecode", "inputs": {"samples": ["6", 0], "vae": ["1", 2]}},
        "8": {"class_type": "SaveImage", "inputs": save},
    }


async def _submit(client: httpx.AsyncClient, graph: dict[str, Any]) -> str:
    body = {"prompt": graph, "prompt_id": str(uuid4())}
    answer = await client.post("/prompt", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


async def _run(client: httpx.AsyncClient, graph: dict[str, Any]) -> dict[str, Any]:
    prompt_id = await _submit(client, graph)
    await _idle(client)
    entry: dict[str, Any] = (await client.get(f"/history/{prompt_id}")).json()[prompt_id]
    return entry


async def test_a_workflow_gives_a_picture_of_the_asked_size_with_its_graph_inside() -> None:
    async with simulator() as client:
        graph = _graph()
        entry = await _run(client, graph)
        [image] = entry["outputs"]["8"]["images"]
        assert image == {"filename": "sim_00001_.png", "subfolder": "", "type": "output"}
        picture = Image.open(io.BytesIO((await client.get("/api/view", params=image)).content))
        assert picture.size == (192, 256)
        assert json.loads(picture.info["prompt"]) == graph
        again = await _run(client, graph)
        assert again["outputs"] == entry["outputs"]
        [submission, _] = (await client.get("/_sim/submissions")).json()
        assert submission["prompt"] == "a golden portrait"
        assert submission["state"] == "succeeded"
        assert submission["our_id"] == submission["id"]


async def test_an_uploaded_reference_is_drawn_under_the_name_that_the_server_gave() -> None:
    async with simulator() as client:
        names = []
        for colour in ("red", "red", "blue"):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
            upload = {"image": ("face.png", buffer.getvalue(), "image/png")}
            answer = await client.post("/upload/image", files=upload, data={"subfolder": "refs"})
            names.append(answer.json()["name"])
        assert names == ["face.png", "face.png", "face (1).png"]
        graph = _graph()
        graph["9"] = {"class_type": "LoadImage", "inputs": {"image": "refs/face (1).png"}}
        graph["10"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["9", 0], "vae": ["1", 2]}}
        graph["6"]["inputs"]["latent_image"] = ["10", 0]
        entry = await _run(client, graph)
        assert entry["status"]["status_str"] == "success"


@pytest.mark.parametrize(("word", "kind"), [("[fail]", "RuntimeError"), ("[oom]", "torch.OutOfMemoryError")])
async def test_a_word_in_the_prompt_makes_the_sampler_fail(word: str, kind: str) -> None:
    async with simulator() as client:
        entry = await _run(client, _graph(text=f"a portrait {word}"))
        name, data = entry["status"]["messages"][-1]
        assert (name, data["exception_type"], data["node_id"]) == ("execution_error", kind, "6")


async def test_a_lora_is_there_once_it_lies_in_the_servers_folder(tmp_path: Path) -> None:
    async with simulator(lora_dir=tmp_path) as client:
        graph = _graph()
        graph["2"]["inputs"]["lora_name"] = "mia.safetensors"
        answer = await client.post("/prompt", json={"prompt": graph})
        assert answer.status_code == 400
        [error] = answer.json()["node_errors"]["2"]["errors"]
        assert error["type"] == "value_not_in_list"
        assert error["details"] == "lora_name: 'mia.safetensors' not in ['detail.safetensors']"
        for name in ("mia.safetensors", ".mia.safetensors.x.part"):
            (tmp_path / name).write_bytes(b"weights")
        assert (await client.get("/models/loras")).json() == ["detail.safetensors", "mia.safetensors"]
        loader = (await client.get("/object_info/LoraLoader")).json()["LoraLoader"]
        assert loader["input"]["required"]["lora_name"][0] == ["detail.safetensors", "mia.safetensors"]
        await _submit(client, graph)


async def test_a_lost_answer_is_an_accepted_job() -> None:
    async with simulator() as client:
        await client.post("/_sim/behaviour", json={"next_faults": ["lose_answer", "500", "429"]})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/prompt", json={"prompt": _graph()})
        for status in (500, 429):
            refused = await client.post("/prompt", json={"prompt": _graph()})
            assert refused.status_code == status
        assert refused.headers["retry-after"] == "1"
        assert len((await client.get("/_sim/submissions")).json()) == 1


async def test_progress_is_told_step_by_step() -> None:
    async with simulator() as client, watching(client, "me") as watcher:
        await client.post("/_sim/behaviour", json={"latency_seconds": 0.04})
        await client.post("/prompt", json={"prompt": _graph(), "client_id": "me"})
        await watcher.reach(Counter(done=1))
        values = [item["data"]["value"] for item in watcher.seen if item["type"] == "progress"]
        assert values == [1, 2, 3, 4]


async def test_a_number_that_is_none_is_taken_as_the_real_server_takes_it_and_gives_a_black_image() -> None:
    async with simulator() as client:
        prompt_id = await _submit(client, _graph(cfg="NaN"))
        await _idle(client)
        for path in (f"/api/jobs/{prompt_id}", f"/history/{prompt_id}", "/history", "/_sim/submissions"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "NaN" in answer.text, "as Python's json writes it"
        entry = (await client.get(f"/history/{prompt_id}")).json()[prompt_id]
        [image] = entry["outputs"]["8"]["images"]
        picture = Image.open(io.BytesIO((await client.get("/view", params=image)).content))
        assert picture.convert("RGB").getcolors() == [(192 * 256, (0, 0, 0))]


async def test_an_infinite_number_is_refused_as_too_large() -> None:
    async with simulator() as client:
        refused = await client.post("/prompt", json={"prompt": _graph(cfg="inf")})
        assert refused.status_code == 400
        [error] = refused.json()["node_errors"]["6"]["errors"]
        assert error["type"] == "value_bigger_than_max"


@pytest.mark.parametrize("prefix", ["/etc/x", "../x", "a/../../x", "..\\x"])
async def test_a_file_outside_of_the_output_folder_fails_the_saving_node(prefix: str) -> None:
    async with simulator() as client:
        entry = await _run(client, _graph(prefix))
        name, data = entry["status"]["messages"][-1]
        assert (name, data["exception_type"], data["node_id"]) == ("execution_error", "Exception", "8")
        assert "outside the output folder" in data["exception_message"]
