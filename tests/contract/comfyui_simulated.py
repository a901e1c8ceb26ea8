"""A simulated ComfyUI server with its websocket, and a graph to run at it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui import create_app
from deploy.simulators.serving import running


@dataclass
class Watcher:
    """One websocket client: records messages, and lets the replay wait for a point in them."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    async def read(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, str):  # previews are binary
                self.seen.append(json.loads(message))

    async def reach(self, point: Counter[str]) -> None:
        async with asyncio.timeout(5):
            while True:
                if marks(self.seen) >= point:
                    return
                await asyncio.sleep(0.005)

    @property
    def order(self) -> list[str]:
        return [message["type"] for message in self.seen]


def marks(messages: list[dict[str, Any]], posted: set[str] | None = None) -> Counter[str]:
    """Return the progress of the jobs according to their messages; each job's progress counts once.

    Some messages were recorded before the answer of the request that caused them: those of jobs not yet
    `posted` again do not count.
    """
    found: Counter[str] = Counter()
    started_by = 0
    for message in messages:
        kind, data = message["type"], message["data"]
        if posted is not None and data.get("prompt_id") not in posted:
            continue
        found["execution_start"] += kind == "execution_start"
        found["done"] += kind == "executing" and data["node"] is None
        if kind == "progress" and started_by != found["execution_start"]:
            started_by = found["execution_start"]
            found["progress"] += 1
    return found


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


async def idle(client: httpx.AsyncClient) -> None:
    """Wait until the queue is empty."""
    while True:
        if not (await client.get("/prompt")).json()["exec_info"]["queue_remaining"]:
            return
        await asyncio.sleep(0.005)


def graph(prefix: str = "sim", **sampler: Any) -> dict[str, Any]:
    """Return the graph of a portrait with a LoRA, as a workflow template builds it."""
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


async def submit(client: httpx.AsyncClient, graph: dict[str, Any]) -> str:
    body = {"prompt": graph, "prompt_id": str(uuid4())}
    answer = await client.post("/prompt", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


async def run(client: httpx.AsyncClient, graph: dict[str, Any]) -> dict[str, Any]:
    prompt_id = await submit(client, graph)
    await idle(client)
    entry: dict[str, Any] = (await client.get(f"/history/{prompt_id}")).json()[prompt_id]
    return entry
