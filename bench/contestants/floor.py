"""Contestant "floor": the same hops, bytes, bulk writes, provider calls and puts, without any logic."""

import asyncio
import os
from collections.abc import Mapping
from typing import ClassVar, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import IndexModel

from bench.contestants.children import Children
from bench.contestants.contestant import Contestant, Finished, SharedServers, database_of
from bench.contestants.floor_stages import TOPICS
from bench.contestants.kafka_load import KafkaLoad
from contracts.catalog import PARTITIONS
from services.dispatcher.__main__ import INDEXES as JOB_INDEXES
from services.gateways.runtime.ledger.documents import INDEXES as ATTEMPT_INDEXES
from services.result_store.assets import INDEXES as ASSET_INDEXES
from shared.ids import uuid7

INDEXES: Final[dict[str, tuple[IndexModel, ...]]] = {
    "jobs": JOB_INDEXES,
    "attempts": ATTEMPT_INDEXES,
    "assets": ASSET_INDEXES,
}


class Floor(Contestant):
    """One process per core, each with all five stages. Its throughput is the limit of the machine."""

    name: ClassVar[str] = "floor"
    open_jobs: ClassVar[int] = 192

    def __init__(self, shared: SharedServers) -> None:
        self._shared = shared
        self._children = Children(shared.folder / "floor")
        environment = shared.environment
        self._bootstrap = environment["KAFKA_BOOTSTRAP"]
        self._partitions = int(environment.get("KAFKA_PARTITIONS", PARTITIONS))
        self._prefix = uuid7()
        self._topics = [f"{self._prefix}.{topic}" for topic in TOPICS]
        self._load = KafkaLoad(self._bootstrap, self._topics[0], self._topics[-1])

    async def start(self) -> None:
        await self._make_topics()
        await self._make_indexes()
        await self._load.start()
        own = {"MONGO_DATABASE": self.database, "BENCH_PREFIX": self._prefix}
        environment = {**self._shared.environment, **own}
        await self._children.start_modules("bench.contestants.floor_worker", os.cpu_count() or 1, environment)

    async def submit(self, job_id: str, tenant: str) -> None:
        await self._load.submit(job_id, tenant)

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._load.listen(finished, ready)

    async def stop(self) -> None:
        await self._load.stop()
        await self._children.stop()

    @property
    def processes(self) -> Mapping[str, int]:
        return self._children.pids

    @property
    def database(self) -> str:
        return "floor"

    async def _make_indexes(self) -> None:
        """Create the platform's indexes, because they are a part of the cost of a write."""
        async with database_of(self._shared, self.database) as database:
            for name, indexes in INDEXES.items():
                await database[name].create_indexes(list(indexes))

    async def _make_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, self._partitions, 1) for name in self._topics])
        finally:
            await admin.close()
