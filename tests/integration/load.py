"""Numbered messages about a few jobs, and workers that record their handling in one journal."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.generation import GenerationCancel
from deploy.local.stack import Stack
from shared.envelope import Outgoing, Received
from shared.ids import uuid7
from shared.kafka.publisher import Publisher
from shared.transient import is_transient
from tests.integration.workers import Worker, kafka_settings

Journal = list[tuple[str, int]]


class OrderedWorker(Worker):
    """A worker that records each handled job and number in the journal of all workers."""

    def __init__(self, stack: Stack, group: str, journal: Journal) -> None:
        super().__init__(stack, group)
        self._journal = journal

    async def handle(self, batch: Sequence[Received[Any]]) -> Iterable[Outgoing]:
        await asyncio.sleep(0.01)  # long enough for a rebalance to happen meanwhile
        for received in batch:
            self._journal.append((received.message.job_id, int(received.message.reason)))
        return await super().handle(batch)


class Load:
    """Publishes consecutive numbers for each job until it is stopped; failed sends are repeated."""

    def __init__(self, stack: Stack, jobs: int = 12) -> None:
        self.jobs = [uuid7() for _ in range(jobs)]
        self.said = 0
        self.refused: list[str] = []
        self._publisher = Publisher("load", kafka_settings(stack))
        self._task: asyncio.Task[None]
        self._end = asyncio.Event()

    async def __aenter__(self) -> "Load":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Stop, once every started message is acknowledged."""
        self._end.set()
        await self._task

    async def more(self, count: int, seconds: float = 60.0) -> None:
        """Wait until this many more numbers are acknowledged."""
        wanted = self.said + count
        async with asyncio.timeout(seconds):
            while self.said < wanted:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.02)

    async def _run(self) -> None:
        async with self._publisher as publisher:
            while not self._end.is_set():
                await self._say(publisher, self.said)
                self.said += 1
                await asyncio.sleep(0.01)

    async def _say(self, publisher: Publisher, number: int) -> None:
        messages = [GenerationCancel(job_id=job, tenant="t", reason=str(number)) for job in self.jobs]
        while True:
            try:
                await publisher.publish(Outgoing(message) for message in messages)
            except Exception as error:
                if not is_transient(error):
                    raise
                self.refused.append(type(error).__name__)
                await asyncio.sleep(0.2)
            else:
                return

    async def handled_by(self, journal: Journal, seconds: float = 60.0) -> None:
        """Wait until every number of every job is in the journal."""
        wanted = {(job, number) for job in self.jobs for number in range(self.said)}
        async with asyncio.timeout(seconds):
            while wanted - set(journal):
                await asyncio.sleep(0.05)


def first_times(journal: Journal, job: str) -> list[int]:
    """Return the numbers of one job in the order of their first handling."""
    return list(dict.fromkeys(number for each, number in journal if each == job))


async def all_is_committed(stack: Stack, group: str, seconds: float = 30.0) -> None:
    """Wait until the group's offsets are the ends of its topic."""
    async with asyncio.timeout(seconds):
        while await left_to_commit(stack, group):
            await asyncio.sleep(0.2)


async def left_to_commit(stack: Stack, group: str) -> dict[TopicPartition, int]:
    """Return the lag of the group on partitions that have one."""
    bootstrap = stack.environment["KAFKA_BOOTSTRAP"]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    partitions = [
        TopicPartition(GenerationCancel.topic, number) for number in range(kafka_settings(stack).partitions)
    ]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends = await consumer.end_offsets(partitions)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group, partitions=partitions)
    finally:
        await admin.close()
    left = {tp: end - max(0, committed[tp].offset) for tp, end in ends.items()}
    return {tp: count for tp, count in left.items() if count}
