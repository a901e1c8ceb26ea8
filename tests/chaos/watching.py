"""Follows `job.events` while all goes wrong: which jobs there are, and which have ended."""

import asyncio
import json
from contextlib import suppress

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.chaos.gather import EVENTS


class Watcher:
    """Hears every job's beginning and end."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._news = asyncio.Event()
        self.seen: set[str] = set()
        self.ended: set[str] = set()

    async def run(self) -> None:
        """Until cancelled; a broker that is away is waited for."""
        while True:
            consumer = AIOKafkaConsumer(
                EVENTS, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest"
            )
            try:
                await consumer.start()
                async for record in consumer:
                    self._hear(json.loads(record.value))
            except KafkaError:
                await asyncio.sleep(1.0)
            finally:
                with suppress(Exception):
                    await consumer.stop()

    def _hear(self, event: dict[str, str]) -> None:
        self.seen.add(event["job_id"])
        if event["event"] in ("completed", "failed"):
            self.ended.add(event["job_id"])
            self._news.set()

    async def until_open(self, asked: int, most: int) -> None:
        """Wait until no more than `most` of so many asked jobs are open."""
        while asked - len(self.ended) > most:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 1.0)
