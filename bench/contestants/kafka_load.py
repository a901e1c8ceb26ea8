"""Load over Kafka, for this platform and the floor: requests in, completed jobs out."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench import samples
from bench.contestants.contestant import Finished

REQUEST = "generation.requested.base_image"


class JobFailed(Exception):
    """A job of the benchmark failed."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(f"job {event['job_id']} failed: {event['error']}")


class KafkaLoad:
    """An upstream service: publishes requests to one topic and reads the end of jobs from another."""

    def __init__(self, bootstrap: str, requests: str, events: str) -> None:
        self._bootstrap = bootstrap
        self._requests = requests
        self._events = events
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap)

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def submit(self, job_id: str, tenant: str) -> None:
        """Submit a request and return once it is in the producer's batch; its latency counts from here."""
        await self._producer.send(
            self._requests,
            samples.body(REQUEST, job_id, tenant),
            key=job_id.encode(),
            headers=samples.headers(REQUEST, job_id),
        )

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        """Report completed jobs from the beginning of the topic on."""
        consumer = AIOKafkaConsumer(
            self._events,
            bootstrap_servers=self._bootstrap,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            ready.set()
            async for record in consumer:
                if b'"completed"' in record.value or b'"failed","job_id"' in record.value:
                    self._handle(json.loads(record.value), finished)
        finally:
            with suppress(Exception):
                await consumer.stop()

    def _handle(self, event: dict[str, Any], finished: Finished) -> None:
        if event["event"] == "failed":
            raise JobFailed(event)
        if event["event"] == "completed":
            finished(event["job_id"])
