"""Celery on Redis: `acks_late`, one prefork process per core, clients created once per process."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from kombu.connection import Connection

from bench import samples
from bench.contestants.celery_app import app, send_chain, send_one
from bench.contestants.children import Children
from bench.contestants.contestant import Contestant, Finished, SharedServers
from bench.contestants.kafka_load import REQUEST
from bench.contestants.redis_server import NOTICES, RedisServer

WORKER: Final = "--pool prefork -O fair --without-gossip --without-mingle --without-heartbeat -l WARNING"

Send = Callable[[dict[str, Any], Connection], None]


class CeleryWorkers(Contestant):
    """Common base of the chain and the single task."""

    open_jobs: ClassVar[int] = 32
    send: ClassVar[Send]

    def __init__(self, shared: SharedServers) -> None:
        folder = shared.folder / self.name
        self._shared = shared
        self._children = Children(folder)
        self._redis = RedisServer(self._children, folder)
        self._connection: Any = None

    async def start(self) -> None:
        await self._redis.start()
        self._connection = app.connection_for_write(self._redis.url)
        environment = {
            **self._shared.environment,
            "REDIS_URL": self._redis.url,
            "BENCH_NOTICES": NOTICES,
            "MONGO_DATABASE": self.database,
        }
        processes = str(os.cpu_count() or 1)
        options = ("-A", "bench.contestants.celery_app", "worker", "-c", processes, *WORKER.split())
        await self._children.start_modules("celery", 1, environment, *options)

    async def submit(self, job_id: str, tenant: str) -> None:
        assert self._connection is not None, "start comes first"
        self.__class__.send(samples.fields(REQUEST, job_id, tenant), self._connection)

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._redis.listen(finished, ready)

    async def stop(self) -> None:
        await self._children.stop()
        if self._connection is not None:
            self._connection.release()

    @property
    def processes(self) -> Mapping[str, int]:
        return self._children.pids

    @property
    def database(self) -> str:
        return self.name


class CeleryChain(CeleryWorkers):
    """Celery with a chain of six tasks."""

    name: ClassVar[str] = "celery_chain"
    send: ClassVar[Send] = staticmethod(send_chain)


class CeleryOne(CeleryWorkers):
    """Celery with a single task."""

    name: ClassVar[str] = "celery_one"
    send: ClassVar[Send] = staticmethod(send_one)
