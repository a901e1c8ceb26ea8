"""Says orders as upstream services do, patiently: what is acknowledged counts as asked for."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.load import Order
from tests.chaos.work import KAFKA_SILENT, KAFKA_TAKEN, LATER, SILENT, TAKEN

PATHS = {
    "base_image": "/v1/base-images",
    "character_sheet": "/v1/character-sheets",
    "studio": "/v1/studio",
    "profile_pictures": "/v1/profile-pictures",
    "lora_training": "/v1/lora-trainings",
}
USER = "chaos"
PATIENCE_SECONDS = 240.0
ANSWER_SECONDS = 30.0
"""For one answer: the API waits 20 s for a database that is away before it says so."""


class Upstream:
    """A caller that repeats a request under the same id until it is acknowledged.

    `answers` is how often it was answered how, by what `now` said when it asked.
    """

    def __init__(
        self,
        bootstrap: str,
        api_urls: Callable[[], list[str]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._api_urls = api_urls
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        unlimited = httpx.Limits(max_connections=None)
        self._http = httpx.AsyncClient(
            timeout=ANSWER_SECONDS, trust_env=False, limits=unlimited, transport=transport
        )
        self.now: Callable[[], str] = lambda: "nothing"
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)

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
            await _until_taken(lambda: self.post(order) if order.over_http else self._publish(order))

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
        when = self.now()
        try:
            producer = await self._connected()
            await producer.send_and_wait(topic, json.dumps(body).encode(), key=key.encode())
        except KafkaError:
            return self._heard(when, KAFKA_SILENT)
        return self._heard(when, KAFKA_TAKEN)

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

    async def post(self, order: Order) -> bool:
        """Try once, at each instance of the API; whether one of them took it."""
        body = {name: value for name, value in order.request.items() if name != "type"}
        body |= {"job_id": order.job_id}
        body |= {"notify": {"webhook_url": order.webhook}} if order.webhook else {}
        headers = {"X-Tenant-Id": order.tenant, "X-User-Id": USER, "Idempotency-Key": order.job_id}
        for url in self._api_urls():
            when = self.now()
            try:
                answer = await self._http.post(url + PATHS[order.request["type"]], json=body, headers=headers)
            except httpx.HTTPError:
                self._heard(when, SILENT)
                continue
            if self._heard(when, _named(answer)):
                return True
        return False

    def _heard(self, when: str, answer: str) -> bool:
        """Count it under what was so when it was asked; whether it is a yes."""
        self.answers[when][answer] += 1
        return answer in (TAKEN, KAFKA_TAKEN)


def _named(answer: httpx.Response) -> str:
    if answer.status_code == 503 and "retry-after" in answer.headers:
        return LATER
    return TAKEN if answer.status_code == 202 else f"{answer.status_code} {answer.text[:200]}"


async def _until_taken(say: Callable[[], Awaitable[bool]]) -> None:
    pause = 0.1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await say():
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)
