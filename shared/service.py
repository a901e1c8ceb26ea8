"""One process: its subscriptions, background loops and HTTP surface, from start to orderly end."""

import asyncio
from contextlib import AsyncExitStack

import structlog
from fastapi import FastAPI

from shared.background import Background
from shared.http.front import Front, HttpServer
from shared.http.operations import operations
from shared.kafka.connection import BrokerConnection
from shared.kafka.consumers import Consumers
from shared.kafka.publisher import Publisher
from shared.kafka.subscribe import Subscribe
from shared.observability.health import Health
from shared.settings import KafkaSettings, ProcessSettings
from shared.shutdown import DRAIN_SECONDS, LEAVE_SECONDS, stop_on_signal
from shared.startup import Startup

log = structlog.get_logger()


class Service:
    """A named process on the broker.

    Entering it opens the HTTP port, for health and metrics, and then reaches the broker. Handlers and
    background loops are declared before `run`; requests reach `http` from `run` on.

    Args:
        wait_for_broker: False for a service that publishes from an outbox. It starts without the broker
            and reaches it when it can.
    """

    def __init__(
        self, name: str, kafka: KafkaSettings, process: ProcessSettings, *, wait_for_broker: bool = True
    ) -> None:
        self.name = name
        self.address = ""  # host:port of the HTTP surface, once the service is entered
        self.health = Health()
        self.http = FastAPI(title=f"imagegen {name}", docs_url=None, redoc_url=None)
        self.publisher = Publisher(name, kafka)
        self._wait_for_broker = wait_for_broker
        self._connection = BrokerConnection(kafka, self.publisher)
        self._consumers = Consumers(self.publisher, kafka, self.health, DRAIN_SECONDS)
        self.subscribe: Subscribe = self._consumers.subscribe
        self._background = Background(name, self.health, vital=wait_for_broker)
        self._background.add("consumers", self._consumers.broken)
        self._background.examine(self._consumers.examine)
        self.background = self._background.add
        self._startup = Startup(self.health)
        self.waits_for = self._startup.report
        operational = operations(name, self._consumers.broker, self.health)
        self.front = Front(operational, self.http, self._startup.summary)
        self._server = HttpServer(self.front, process, DRAIN_SECONDS)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Service":
        self._background.enter()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._server.stop)
            self.address = await self._server.listen()
            log.info("http_listening", http=self.address)
            stack.push_async_callback(self._connection.close)
            if self._wait_for_broker:
                await self._connection.open(self.waits_for)
            else:
                await self._connection.open_in_background()
                self.health.add("kafka", self._connection.problem, vital=False)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def listen(self) -> None:
        """Join the groups and begin to consume; `run` does it by itself."""
        await self._consumers.listen()

    async def stop_listening(self) -> None:
        """Finish the batches in hand and leave the groups, as far as the broker answers."""
        await self._consumers.stop(DRAIN_SECONDS + LEAVE_SECONDS)

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, or until a background loop fails; then drain and return."""
        stop_on_signal(stop := asyncio.Event())
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self.listen())
            self._background.start(group)
            serving = group.create_task(self._server.served())
            self._startup.finish()
            self.front.open()
            log.info("service_started", http=self.address)
            await stop.wait()
            log.info("service_stopping")
            listening.cancel()
            self._server.should_exit = True
            await asyncio.gather(self._background.stop(DRAIN_SECONDS + LEAVE_SECONDS), self.stop_listening())
            await serving
        log.info("service_stopped")
