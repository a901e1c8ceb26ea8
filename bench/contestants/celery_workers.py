"""Celery on Redis: `acks_late`, one prefork process per core, clients made once per process."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from bench import samples
from bench.contestants.celery_app import app, send_chain, send_one
from bench.contestants.children import Children
from bench.contestants.contestant import Contestant, Finished, Place
from bench.contestants.kafka_load import REQUEST
from bench.contestants.redis_server import NOTICES, RedisServer

PONG_SECONDS: Final = 1.0
WORKER: Final = "--pool prefork -O fair --without-gossip --without-mingle --without-heartbeat -l WARNING"

Send = Callable[[dict[str, Any]], None]


class CeleryWorkers(Contestant):
    """What the chain and the one task share."""

    open_jobs: ClassVar[int] = 32
    send: ClassVar[Send]

    def __init__(self, place: Place) -> None:
        folder = place.folder / self.name
        self._place = place
        self._children = Children(folder)
        self._redis = RedisServer(self._children, folder)

    async def start(self) -> None:
        await self._redis.start()
        app.conf.broker_url = self._redis.url
        environment = {
            **self._place.environment,
            "REDIS_URL": self._redis.url,
            "BENCH_NOTICES": NOTICES,
            "MONGO_DATABASE": self.database,
        }
        command = ("-m", "celery", "-A", "bench.contestants.celery_app", "worker", *WORKER.split())
        arguments = (sys.executable, *command, "-c", str(os.cpu_count() or 1))
        await self._children.start("celery", arguments, _answers_ping, environment)

    async def submit(self, job_id: str, tenant: str) -> None:
        self.__class__.send(samples.fields(REQUEST, job_id, tenant))

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        await self._redis.listen(finished, ready)

    async def stop(self) -> None:
        await asyncio.to_thread(app.pool.force_close_all)
        await self._children.stop()

    @property
    def processes(self) -> Mapping[str, int]:
        return self._children.pids

    @property
    def database(self) -> str:
        return self.name


class CeleryChain(CeleryWorkers):
    """Six tasks."""

    name: ClassVar[str] = "celery_chain"
    send: ClassVar[Send] = staticmethod(send_chain)


class CeleryOne(CeleryWorkers):
    """One task."""

    name: ClassVar[str] = "celery_one"
    send: ClassVar[Send] = staticmethod(send_one)


async def _answers_ping() -> bool:
    return bool(await asyncio.to_thread(app.control.ping, timeout=PONG_SECONDS, limit=1))
