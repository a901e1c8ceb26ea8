"""Gateway processes that die at a marked point, beside others that finish what they held.

A process that is to die has a broker of its own with one command on it: it gets that command and
nobody else does, so that many can die at once. Ledger and providers are everybody's.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from contracts.base import Provider
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.local.brokers import embedded
from deploy.local.ports import Ports
from deploy.local.processes import Command, Process
from deploy.local.servers import Site
from deploy.local.services import basics, service
from deploy.local.stack import Stack
from services.gateways.runtime.crash_points import VARIABLE, CrashPoint
from shared import mongo
from shared.envelope import encode
from shared.mongo import Document
from shared.settings import KafkaSettings, MongoSettings
from shared.topics import ensure_topics

QUICK = {
    "MODAL_SUBMIT_TIMEOUT_SECONDS": "3",
    "COMFYUI_SUBMIT_TIMEOUT_SECONDS": "3",
    "FAL_SUBMIT_TIMEOUT_SECONDS": "3",
    "FAL_GRACE_SECONDS": "3",
    "KAFKA_FETCH_MAX_WAIT_MS": "150",
}
PATIENCE = 150.0
"""Seconds; on a machine that does nothing else everything takes a tenth of it."""
ENDS: tuple[type[RenderSucceeded | RenderFailed], ...] = (RenderSucceeded, RenderFailed)


class Scene:
    """Brokers and gateway processes beside a stack; all end with it."""

    def __init__(self, stack: Stack, folder: Path, exits: AsyncExitStack) -> None:
        self.stack = stack
        self._site = Site(Ports({}), folder, folder, basics())
        self._exits = exits
        self._numbers = itertools.count(2)
        self._one_port = asyncio.Lock()
        self._brokers: list[str] = []

    @property
    def bootstrap(self) -> str:
        """The broker of those who live."""
        return self.stack.environment["KAFKA_BOOTSTRAP"]

    async def broker(self, *commands: RenderRequested) -> str:
        """One more broker, with these commands on it; its address."""
        async with self._one_port:
            name = f"kafka-{next(self._numbers)}"
            process = await self._start(replace(embedded(self._site), name=name))
            await process.wait_ready()
        self._brokers.append(process.command.address)
        settings = KafkaSettings(bootstrap=process.command.address, idempotence=False)
        await ensure_topics(settings)
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
        await producer.start()
        for command in commands:
            sent = encode(command, source="test", trace=None)
            await producer.send_and_wait(
                sent.topic, sent.body, key=sent.key.encode(), headers=[*sent.headers]
            )
        await producer.stop()
        return settings.bootstrap

    async def live(self, provider: Provider, database: str) -> str:
        """A process that lives; its address."""
        process = await self._start(self._gateway(provider, database, self.bootstrap))
        await process.wait_ready()
        return process.command.address

    async def die(
        self, provider: Provider, database: str, point: CrashPoint, bootstrap: str, **environment: str
    ) -> int:
        """A process that dies by itself; its exit code."""
        own = {
            VARIABLE: point,
            "HTTP_PORT": "0",  # nobody calls it, so any free port will do
            "KAFKA_IDEMPOTENCE": "false",  # whichever broker the others have, its own is an embedded one
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
        process = await Process.start(command, self._site.data / f"{command.name}.log")
        self._exits.push_async_callback(process.stop, 0)
        return process

    async def entries(self, database: str, attempts: int) -> list[Document]:
        """The ledger, once so many attempts have ended and nothing is left to be said of them."""
        url = SecretStr(self.stack.environment["MONGO_URL"])
        async with mongo.connect(MongoSettings(url=url, database=database)) as found:
            going_on = {"$or": [{"finished_at": {"$exists": False}}, {"owed": {"$exists": True}}]}
            async with asyncio.timeout(PATIENCE):
                while (
                    await found["attempts"].count_documents({}) < attempts
                    or await found["attempts"].count_documents(going_on) > 0
                ):
                    await asyncio.sleep(0.5)
            return await found["attempts"].find({}, {"command": 0}).to_list(None)

    async def said(self) -> dict[str, set[str]]:
        """Which ends were said of each attempt, on whichever broker."""
        ends: dict[str, set[str]] = {}
        topics = {kind.topic: kind for kind in ENDS}
        for bootstrap in (self.bootstrap, *self._brokers):
            consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
            await consumer.start()
            while found := await consumer.getmany(timeout_ms=1000):
                for record in itertools.chain(*found.values()):
                    message = topics[record.topic].model_validate_json(record.value)
                    ends.setdefault(message.attempt_id, set()).add(record.topic)
            await consumer.stop()
        return ends


@asynccontextmanager
async def a_scene(stack: Stack, folder: Path) -> AsyncIterator[Scene]:
    """Everything that it starts is stopped."""
    async with AsyncExitStack() as exits:
        yield Scene(stack, folder, exits)
