"""What a story needs of the running platform: publish as upstream does, read as a user does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from contracts.jobs import JobEvent
from contracts.operations import DeadLetter
from deploy.local.stack import Stack
from shared import mongo
from shared.ids import uuid7
from shared.settings import MongoSettings

TENANT, USER = "acme", "mara"
IDENTITY = {"X-Tenant-Id": TENANT, "X-User-Id": USER}
CHARACTER: dict[str, Any] = {
    "name": "Mara",
    "age": "twenty-seven",
    "appearance": {"gender": "woman", "hair_color": "auburn", "eye_color": "green"},
}


class Platform:
    """A client of a running stack; it hears all job events and dead letters from its start."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, producer: AIOKafkaProducer) -> None:
        self.stack = stack
        self.http = http
        self.events: dict[str, list[JobEvent]] = {}
        self.dead_letters: list[DeadLetter] = []
        self._producer = producer
        self._news = asyncio.Condition()

    async def publish(self, request: dict[str, Any], *, job_id: str | None = None) -> str:
        """Publish a request as an upstream service would; returns its job id."""
        job_id = job_id or uuid7()
        body = {"job_id": job_id, "tenant": TENANT, "user_id": USER, "request": request}
        await self.publish_raw(json.dumps(body).encode(), key=job_id)
        return job_id

    async def publish_raw(
        self, value: bytes, *, key: str, topic: str = "generation.requested.v1", **headers: str
    ) -> None:
        """Publish any bytes."""
        pairs = [(name, text.encode()) for name, text in headers.items()]
        await self._producer.send_and_wait(topic, value, key=key.encode(), headers=pairs)

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Post to the API as Mara."""
        return await self.http.post(path, json=body, headers=IDENTITY | headers)

    async def get(self, path: str) -> httpx.Response:
        """Get from the API as Mara."""
        return await self.http.get(path, headers=IDENTITY)

    async def submissions(self, provider: str) -> list[dict[str, Any]]:
        """The books of a provider simulator."""
        answer = await self.http.get(f"{self.stack.simulator_url(provider)}/_sim/submissions")
        found: list[dict[str, Any]] = answer.json()
        return found

    async def ledger(self) -> list[dict[str, Any]]:
        """What the gateways wrote down of every attempt."""
        settings = MongoSettings(url=SecretStr(self.stack.environment["MONGO_URL"]))
        async with mongo.connect(settings) as database:
            return await database["attempts"].find({}, {"command": 0}).to_list(None)

    async def behave(self, provider: str, **behaviour: Any) -> None:
        """Make a provider simulator slow, or faulty."""
        url = f"{self.stack.simulator_url(provider)}/_sim/behaviour"
        (await self.http.post(url, json=behaviour)).raise_for_status()

    async def ended(self, *job_ids: str, seconds: float = 60.0) -> list[JobEvent]:
        """The terminal events of these jobs."""
        return [await self.heard(job_id, "completed", "failed", seconds=seconds) for job_id in job_ids]

    async def heard(self, job_id: str, *kinds: str, seconds: float = 30.0) -> JobEvent:
        """The first event of one of these kinds."""
        async with asyncio.timeout(seconds), self._news:
            while True:
                for event in self.events.get(job_id, []):
                    if event.event in kinds:
                        return event
                await self._news.wait()

    async def set_aside(self, count: int, seconds: float = 20.0) -> list[DeadLetter]:
        """The dead letters, once there are so many."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.dead_letters) >= count)
            return list(self.dead_letters)

    async def listen(self, consumer: AIOKafkaConsumer) -> None:
        """Hear everything until cancelled."""
        async for record in consumer:
            async with self._news:
                if record.topic == DeadLetter.topic:
                    self.dead_letters.append(DeadLetter.model_validate_json(record.value))
                else:
                    event = JobEvent.model_validate_json(record.value)
                    self.events.setdefault(event.job_id, []).append(event)
                self._news.notify_all()


@asynccontextmanager
async def platform_of(stack: Stack) -> AsyncIterator[Platform]:
    """A client of the stack."""
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    consumer = AIOKafkaConsumer(
        JobEvent.topic,
        DeadLetter.topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4_000_000)
    await consumer.start()
    await producer.start()
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=10.0) as http:
        platform = Platform(stack, http, producer)
        ear = asyncio.create_task(platform.listen(consumer))
        try:
            yield platform
        finally:
            ear.cancel()
            await asyncio.gather(ear, return_exceptions=True)
            await producer.stop()
            await consumer.stop()
