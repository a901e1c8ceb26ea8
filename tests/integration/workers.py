"""A service with one handler that records its messages, and a publisher of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from contracts.generation import GenerationCancel
from deploy.local.stack import Stack
from shared.envelope import Outgoing, Received
from shared.errors import Backpressure
from shared.ids import uuid7
from shared.service import Service
from shared.settings import KafkaSettings, ProcessSettings


def kafka_settings(stack: Stack, **other: Any) -> KafkaSettings:
    """Return the settings of the stack's services with some changes."""
    given = {name.partition("_"): value for name, value in stack.environment.items()}
    return KafkaSettings.model_validate(
        {field.lower(): value for (prefix, _, field), value in given.items() if prefix == "KAFKA"} | other
    )


class Worker:
    """A service with one handler that records its messages."""

    def __init__(self, stack: Stack, group: str, **settings: Any) -> None:
        self.seen: list[str] = []
        self.batches: list[list[str]] = []
        """All messages, including failed ones."""
        self.takes_seconds = 0.0
        self.has_room = True
        self.failures: list[Exception] = []
        self.service = Service("worker", kafka_settings(stack, **settings), ProcessSettings())
        self.service.subscribe(GenerationCancel, group=group)(self.handle)

    async def handle(self, batch: Sequence[Received[Any]]) -> Iterable[Outgoing]:
        marks = [received.message.reason for received in batch]
        self.batches.append(marks)
        if self.failures:
            raise self.failures.pop()
        if "full" in marks and not self.has_room:
            raise Backpressure("for this one")
        await asyncio.sleep(self.takes_seconds)
        self.seen += marks
        return []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Worker"]:
        async with self.service:
            await self.service.listen()
            try:
                yield self
            finally:
                await self.service.stop_listening()

    async def saw(self, count: int, seconds: float = 20.0) -> list[str]:
        async with asyncio.timeout(seconds):
            while len(self.seen) < count:
                await asyncio.sleep(0.02)
        return self.seen


async def say(stack: Stack, marks: Iterable[str], *, raw: bytes | None = None) -> None:
    """Publish one message for each mark, each about its own job."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
    await producer.start()
    try:
        for mark in marks:
            body = {"job_id": uuid7(), "tenant": "t", "reason": mark}
            value = raw if raw is not None else json.dumps(body).encode()
            await producer.send_and_wait(GenerationCancel.topic, value, key=str(body["job_id"]).encode())
    finally:
        await producer.stop()


async def ready(service: Service) -> tuple[int, dict[str, str]]:
    """Return the status of /health/ready, and the problems by name."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{service.address}/health/ready")
    return answer.status_code, answer.json()["problems"]


async def saw(worker: Worker, mark: str) -> None:
    """Wait until the worker received a message with this mark."""
    async with asyncio.timeout(30):
        while mark not in worker.seen:
            await asyncio.sleep(0.02)
