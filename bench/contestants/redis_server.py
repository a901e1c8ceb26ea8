"""In-memory Redis on a free port: Celery's broker, and a stream of notifications."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import redis.asyncio

from bench.contestants.children import Children
from bench.contestants.contestant import Finished
from deploy.local.ports import HOST, Ports
from deploy.local.probes import accepts

NOTICES = "notices"


class MissingRedis(Exception):
    """Redis is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "redis-server is not installed: `apt-get install redis-server`, "
            "or run only contestants without it: make bench ONLY=ours,floor"
        )


class RedisServer:
    """A Redis server among a contestant's processes."""

    def __init__(self, children: Children, folder: Path) -> None:
        self._children = children
        self._folder = folder
        self._port = Ports({}).pick("redis")
        self.url = f"redis://{HOST}:{self._port}/0"

    async def start(self) -> None:
        """Start Redis. Raise MissingRedis if it is not installed."""
        program = shutil.which("redis-server")
        if program is None:
            raise MissingRedis
        self._folder.mkdir(parents=True, exist_ok=True)
        options = f"--bind {HOST} --port {self._port} --save --appendonly no --dir {self._folder}"
        arguments = [program, *options.split()]
        arguments.insert(arguments.index("--save") + 1, "")
        await self._children.start("redis", tuple(arguments), accepts(self._port))

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        """Report notifications until cancelled."""
        client = redis.asyncio.Redis.from_url(self.url)
        last: bytes | str = "0"
        ready.set()
        try:
            while True:
                answer: Any = await client.xread({NOTICES: last}, count=500, block=1000)
                for _, entries in answer or ():
                    for entry_id, notice in entries:
                        last = entry_id
                        finished(notice[b"job_id"].decode())
        finally:
            await client.aclose()
