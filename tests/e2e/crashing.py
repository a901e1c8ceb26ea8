"""Gateway processes that crash at a given point, beside others that finish their attempts.

A process that is to crash reads its command from a broker of its own, so that no other process gets
it. Ledger and providers are shared with all others.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from clients.cli.topics import read_all
from contracts.base import Provider
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.local.apache_kafka.install import install
from deploy.local.apache_kafka.node import Member, node
from deploy.local.ports import Ports
from deploy.local.processes import Command, Process
from deploy.local.servers import Site
from deploy.local.services import basics, service
from deploy.local.stack import Stack
from services.gateways.kit.crash_points import VARIABLE, CrashPoint
from shared import mongo
from shared.envelope import encode
from shared.kafka.topics import ensure_topics
from shared.mongo import Document
from shared.settings import KafkaSettings, MongoSettings

QUICK = {
    "MODAL_SUBMIT_TIMEOUT_SECONDS": "3",
    "COMFYUI_SUBMIT_TIMEOUT_SECONDS": "3",
    "FAL_SUBMIT_TIMEOUT_SECONDS": "3",
    "FAL_GRACE_SECONDS": "3",
    "KAFKA_PARTITIONS": "1",
}
PATIENCE = 150.0
"""Seconds to wait on a busy machine; an idle one needs a tenth."""
ENDS: tuple[type[RenderSucceeded | RenderFailed], ...] = (RenderSucceeded, RenderFailed)


class CrashHarness:
    """Brokers and gateway processes beside a stack; they are stopped with it."""

    def __init__(self, stack: Stack, folder: Path, exits: AsyncExitStack) -> None:
        self.stack = stack
        self._site = Site(Ports({}), folder, folder, basics())
        self._exits = exits
        self._numbers = itertools.count(2)
        self._ends: dict[str, set[str]] = {}

    @property
    def bootstrap(self) -> str:
        """The address of the broker of the processes that do not crash."""
        return self.stack.environment["KAFKA_BOOTSTRAP"]

    @asynccontextmanager
    async def broker(self, *commands: RenderRequested) -> AsyncIterator[str]:
        """Start another broker with these commands on it; yield its address."""
        process = await Process.start(command := await self._broker_command(), self._log(command))
        self._exits.push_async_callback(process.stop, 0)
        await process.wait_ready()
        settings = KafkaSettings(bootstrap=command.address, partitions=1)
        await ensure_topics(settings)
        async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
            for each in commands:
                sent = encode(each, source="test", trace=None)
                await producer.send_and_wait(
                    sent.topic, sent.body, key=sent.key.encode(), headers=[*sent.headers]
                )
        yield settings.bootstrap
        await self._collect(settings.bootstrap)
        await process.stop(0)

    async def _broker_command(self) -> Command:
        name = f"kafka-{next(self._numbers)}"
        ports = self._site.ports
        member = Member(1, ports.pick(name), ports.pick(f"{name}.controller"))
        site = replace(self._site, data=self._site.data / name)
        site.data.mkdir()
        return node(name, 1, [member], site, await install(logging.getLogger("deploy.local").info))

    async def start_gateway(self, provider: Provider, database: str) -> str:
        """Start a gateway that does not crash; return its address."""
        process = await self._start(self._gateway(provider, database, self.bootstrap))
        await process.wait_ready()
        return process.command.address

    async def crash(
        self, provider: Provider, database: str, point: CrashPoint, bootstrap: str, **environment: str
    ) -> int:
        """Start a gateway that crashes at a point; return its exit code."""
        own = {
            VARIABLE: point,
            "HTTP_PORT": "0",  # any free port: it gets no requests
        }
        command = self._gateway(provider, database, bootstrap, **environment, **own)
        process = await self._start(replace(command, name=f"{database}-{provider}-{point}"))
        async with asyncio.timeout(PATIENCE):
            return await process.wait()

    def _gateway(self, provider: Provider, database: str, bootstrap: str, **environment: str) -> Command:
        command = service(f"gateways.{provider}", next(self._numbers), self._site, self.stack.environment)
        own = {"KAFKA_BOOTSTRAP": bootstrap, "MONGO_DATABASE": database}
        return replace(command, environment={**command.environment, **QUICK, **own, **environment})

    async def _start(self, command: Command) -> Process:
        process = await Process.start(command, self._log(command))
        self._exits.push_async_callback(process.stop, 0)
        return process

    def _log(self, command: Command) -> Path:
        return self._site.data / f"{command.name}.log"

    async def entries(self, database: str, attempts: int) -> list[Document]:
        """Return the ledger once this number of attempts has ended and no outbox entry is left."""
        url = SecretStr(self.stack.environment["MONGO_URL"])
        async with mongo.connect(MongoSettings(url=url, database=database)) as found:
            unfinished = {"$or": [{"finished_at": {"$exists": False}}, {"outbox": {"$exists": True}}]}
            async with asyncio.timeout(PATIENCE):
                while (
                    await found["attempts"].count_documents({}) < attempts
                    or await found["attempts"].count_documents(unfinished) > 0
                ):
                    await asyncio.sleep(0.5)
            return await found["attempts"].find({}, {"command": 0}).to_list(None)

    async def published_ends(self) -> dict[str, set[str]]:
        """Return the topics of the final messages of each attempt, from all brokers."""
        await self._collect(self.bootstrap)
        return self._ends

    async def _collect(self, bootstrap: str) -> None:
        topics = {kind.topic: kind for kind in ENDS}
        for record in await read_all(bootstrap, list(topics)):
            message = topics[record.topic].model_validate_json(record.value)
            self._ends.setdefault(message.attempt_id, set()).add(record.topic)


@asynccontextmanager
async def a_crash_harness(stack: Stack, folder: Path) -> AsyncIterator[CrashHarness]:
    """Yield a harness; stop everything that it started."""
    async with AsyncExitStack() as exits:
        yield CrashHarness(stack, folder, exits)
