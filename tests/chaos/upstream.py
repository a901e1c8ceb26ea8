"""Submit orders as upstream services do; an order counts as submitted once it is acknowledged."""

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
from tests.chaos.work import ACCEPTED, KAFKA_ACCEPTED, KAFKA_SILENT, LATER, SILENT

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
"""Timeout of one response: the API waits 20 s for an unavailable database before it answers."""


class Upstream:
    """A caller that repeats a request under the same id until it is acknowledged.

    `answers` counts the responses, by the outage that `now` named when the request was sent.
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
        """Submit an order, once or twice.

        Raises:
            TimeoutError: when it was not acknowledged in time.
        """
        for _ in range(2 if order.repeated else 1):
            await _until_accepted(lambda: self.post(order) if order.over_http else self._publish(order))

    async def cancel(self, order: Order) -> None:
        """Request the cancellation of an order."""
        body = {"job_id": order.job_id, "tenant": order.tenant, "reason": "changed my mind"}
        await _until_accepted(lambda: self._send("generation.cancel.v1", order.job_id, body))

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
            return self._count(when, KAFKA_SILENT)
        return self._count(when, KAFKA_ACCEPTED)

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
        """Try each instance of the API once; return whether one accepted the order."""
        body = {name: value for name, value in order.request.items() if name != "type"}
        body |= {"job_id": order.job_id}
        body |= {"notify": {"webhook_url": order.webhook}} if order.webhook else {}
        headers = {"X-Tenant-Id": order.tenant, "X-User-Id": USER, "Idempotency-Key": order.job_id}
        for url in self._api_urls():
            when = self.now()
            try:
                answer = await self._http.post(url + PATHS[order.request["type"]], json=body, headers=headers)
            except httpx.HTTPError:
                self._count(when, SILENT)
                continue
            if self._count(when, _name_of(answer)):
                return True
        return False

    def _count(self, when: str, answer: str) -> bool:
        """Count a response under the outage of its request; return whether it is an acceptance."""
        self.answers[when][answer] += 1
        return answer in (ACCEPTED, KAFKA_ACCEPTED)


def _name_of(answer: httpx.Response) -> str:
    if answer.status_code == 503 and "retry-after" in answer.headers:
        return LATER
    return ACCEPTED if answer.status_code == 202 else f"{answer.status_code} {answer.text[:200]}"


async def _until_accepted(send: Callable[[], Awaitable[bool]]) -> None:
    pause = 0.1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await send():
            await asyncio.sleep(pause)
            pause = min(2.0, 2 * pause)
