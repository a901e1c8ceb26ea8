"""Follows `job.events` during a run: known jobs and ended jobs."""

import asyncio
import json
from contextlib import suppress

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.chaos.gather import EVENTS


class Watcher:
    """Receives the first and the terminal event of every job."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._changed = asyncio.Event()
        self.seen: set[str] = set()
        self.ended: set[str] = set()

    async def run(self) -> None:
        """Read events until cancelled; reconnect after an outage of the broker."""
        while True:
            consumer = AIOKafkaConsumer(
                EVENTS, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest"
            )
            try:
                await consumer.start()
                async for record in consumer:
                    self._receive(json.loads(record.value))
            except KafkaError:
                await asyncio.sleep(1.0)
            finally:
                with suppress(Exception):
                    await consumer.stop()

    def _receive(self, event: dict[str, str]) -> None:
        self.seen.add(event["job_id"])
        if event["event"] in ("completed", "failed"):
            self.ended.add(event["job_id"])
            self._changed.set()

    async def until_open(self, asked: int, most: int) -> None:
        """Wait until at most `most` of the submitted jobs are open."""
        while asked - len(self.ended) > most:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 1.0)
