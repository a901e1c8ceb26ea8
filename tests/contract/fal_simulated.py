"""A simulated fal, and its callers' requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.fal import create_app
from deploy.simulators.serving import running

SAMPLES = Path(__file__).parent / "samples" / "fal"
KEY = {"Authorization": "Key lab-id:lab-secret"}
DEV = "/fal-ai/flux/dev"
ARGUMENTS = {"prompt": "a golden portrait", "image_size": {"width": 96, "height": 128}, "seed": 5}


@asynccontextmanager
async def simulator(**behaviour: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Behaviour.model_validate({"latency_seconds": 0.0, **behaviour}))
    async with (
        running(app) as base,
        httpx.AsyncClient(base_url=base, headers=KEY, trust_env=False) as client,
    ):
        yield client


async def finished(client: httpx.AsyncClient, urls: dict[str, str]) -> dict[str, Any]:
    while True:
        status: dict[str, Any] = (await client.get(urls["status_url"])).json()
        if status["status"] == "COMPLETED":
            return status
        await asyncio.sleep(0.01)


async def ended(client: httpx.AsyncClient, path: str, arguments: dict[str, Any]) -> httpx.Response:
    urls = (await client.post(path, json=arguments)).json()
    await finished(client, urls)
    return await client.get(urls["response_url"])
