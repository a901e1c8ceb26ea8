"""Says orders as upstream services do, patiently: what is acknowledged counts as asked for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.load import Order

PATHS = {
    "base_image": "/v1/base-images",
    "character_sheet": "/v1/character-sheets",
    "studio": "/v1/studio",
    "profile_pictures": "/v1/profile-pictures",
    "lora_training": "/v1/lora-trainings",
}
USER = "chaos"
PATIENCE_SECONDS = 240.0


class Upstream:
    """A caller that repeats a request under the same id until it is acknowledged."""

    def __init__(self, bootstrap: str, api_urls: Callable[[], list[str]]) -> None:
        self._bootstrap = bootstrap
        self._api_urls = api_urls
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def __aenter__(self) -> "Upstream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        if self._producer is not None:
            await self._producer.stop()

    async def ask(self, order: Order) -> None:
        """Say it, once or twice.

        Raises:
            TimeoutError: when nothing acknowledged it for a long time.
        """
        for _ in range(2 if order.said_twice else 1):
            await _until_taken(lambda: self._post(order) if order.over_http else self._publish(order))

    async def cancel(self, order: Order) -> None:
        """Ask for its end."""
        body = {"job_id": order.job_id, "tenant": order.tenant, "reason": "changed my mind"}
        await _until_taken(lambda: self._send("generation.cancel.v1", order.job_id, body))

    async def _publish(self, order: Order) -> bool:
        body: dict[str, Any] = {"job_id": order.job_id, "tenant": order.tenant, "user_id": USER}
        body |= {"request": order.request}
        body |= {"notify": {"webhook_url": order.webhook}} if order.webhook else {}
        body |= {"then": list(order.then)} if order.then else {}
        return await self._send("generation.requested.v1", order.job_id, body)

    async def _send(self, topic: str, key: str, body: dict[str, Any]) -> bool:
        try:
            producer = await self._connected()
            await producer.send_and_wait(topic, json.dumps(body).encode(), key=key.encode())
        except KafkaError:
            return False
        return True

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
                try:
                    await producer.start()
                except KafkaError:
                    with suppress(Exception):
                        await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def _post(self, order: Order) -> bool:
        body = {name: value for name, value in order.request.items() if name != "type"}
        body |= {"job_id": order.job_id}
        body |= {"notify": {"webhook_url": order.webhook}} if order.webhook else {}
        headers = {"X-Tenant-Id": order.tenant, "X-User-Id": USER, "Idempotency-Key": order.job_id}
        for url in self._api_urls():
            with suppress(httpx.HTTPError):
                path = PATHS[order.request["type"]]
                answer = await self._http.post(url + path, json=body, headers=headers)
                if answer.status_code == 202:
                    return True
                if answer.status_code != 503 or "retry-after" not in answer.headers:
                    raise AssertionError(f"{path}: {answer.status_code} {answer.text[:300]}")
        return False


async def _until_taken(say: Callable[[], Awaitable[bool]]) -> None:
    pause = 0.1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await say():
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)
