"""A client of the running platform: publishes as upstream services do, reads as users do."""

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
    """A client of a running stack that receives all job events and dead letters."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, producer: AIOKafkaProducer) -> None:
        self.stack = stack
        self.http = http
        self.events: dict[str, list[JobEvent]] = {}
        self.dead_letters: list[DeadLetter] = []
        self._producer = producer
        self._changed = asyncio.Condition()

    async def publish(self, request: dict[str, Any], *, job_id: str | None = None) -> str:
        """Publish a request as an upstream service would; return its job id."""
        job_id = job_id or uuid7()
        body = {"job_id": job_id, "tenant": TENANT, "user_id": USER, "request": request}
        await self.publish_raw(json.dumps(body).encode(), key=job_id)
        return job_id

    async def publish_raw(
        self, value: bytes, *, key: str, topic: str = "generation.requested.v1", **headers: str
    ) -> None:
        """Publish raw bytes."""
        pairs = [(name, text.encode()) for name, text in headers.items()]
        await self._producer.send_and_wait(topic, value, key=key.encode(), headers=pairs)

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Post to the API as user Mara."""
        return await self.http.post(path, json=body, headers=IDENTITY | headers)

    async def get(self, path: str) -> httpx.Response:
        """Get from the API as user Mara."""
        return await self.http.get(path, headers=IDENTITY)

    async def submissions(self, provider: str) -> list[dict[str, Any]]:
        """Return the submission log of a provider simulator."""
        answer = await self.http.get(f"{self.stack.simulator_url(provider)}/_sim/submissions")
        found: list[dict[str, Any]] = answer.json()
        return found

    async def ledger(self) -> list[dict[str, Any]]:
        """Return the ledger entry of every attempt."""
        settings = MongoSettings(url=SecretStr(self.stack.environment["MONGO_URL"]))
        async with mongo.connect(settings) as database:
            return await database["attempts"].find({}, {"command": 0}).to_list(None)

    async def behave(self, provider: str, **behaviour: Any) -> None:
        """Change the behaviour of a provider simulator."""
        url = f"{self.stack.simulator_url(provider)}/_sim/behaviour"
        (await self.http.post(url, json=behaviour)).raise_for_status()

    async def ended(self, *job_ids: str, seconds: float = 60.0) -> list[JobEvent]:
        """Wait for the terminal events of these jobs and return them."""
        return [await self.received(job_id, "completed", "failed", seconds=seconds) for job_id in job_ids]

    async def received(self, job_id: str, *kinds: str, seconds: float = 30.0) -> JobEvent:
        """Wait for the first event of one of these kinds and return it."""
        async with asyncio.timeout(seconds), self._changed:
            while True:
                for event in self.events.get(job_id, []):
                    if event.event in kinds:
                        return event
                await self._changed.wait()

    async def dead_lettered(self, count: int, seconds: float = 20.0) -> list[DeadLetter]:
        """Wait for this number of dead letters and return all."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.dead_letters) >= count)
            return list(self.dead_letters)

    async def listen(self, consumer: AIOKafkaConsumer) -> None:
        """Collect events and dead letters until cancelled."""
        async for record in consumer:
            async with self._changed:
                if record.topic == DeadLetter.topic:
                    self.dead_letters.append(DeadLetter.model_validate_json(record.value))
                else:
                    event = JobEvent.model_validate_json(record.value)
                    self.events.setdefault(event.job_id, []).append(event)
                self._changed.notify_all()


@asynccontextmanager
async def platform_of(stack: Stack) -> AsyncIterator[Platform]:
    """Yield a client of the stack."""
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
        reader = asyncio.create_task(platform.listen(consumer))
        try:
            yield platform
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await producer.stop()
            await consumer.stop()
