"""One process: what it reads, what it does in the background, its HTTP surface, its orderly end."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any

import structlog
import uvicorn
from aiokafka import ConsumerRecord
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from fastapi import FastAPI
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from contracts.base import Message
from shared.batch_consumer import connect
from shared.errors import StartupError
from shared.health import Health, health_routes
from shared.logs import configure_logs
from shared.publisher import MAX_MESSAGE_BYTES, Publisher
from shared.settings import KafkaSettings, ProcessSettings, read_settings
from shared.subscription import Handler, OnFailed, OnUnreadable, Subscription
from shared.topics import ensure_topics
from shared.tracing import configure_tracing

log = structlog.get_logger()

STOP_SECONDS = 9.0
"""From the signal to the end of the process, whatever does not answer: orchestrators kill after ten."""
BATCH_SECONDS = 4.5
"""For the batches in hand, HTTP requests and background loops, all at once."""
LEAVE_SECONDS = 1.0
"""For leaving the groups after that; a broker that does not answer notices by itself."""
REACH_SECONDS = 2.0
"""Who starts without the broker gives it so long, so that one that is there misses no first request."""


class Service:
    """A named process on the broker.

    `subscribe` declares handlers before `run`; `background` declares loops that end with the
    process; `http` is the FastAPI application, which always has health and metrics.

    Args:
        wait_for_broker: False for one that only publishes, from an outbox: it starts to work without
            the broker and reaches it when it can.
    """

    def __init__(
        self, name: str, kafka: KafkaSettings, process: ProcessSettings, *, wait_for_broker: bool = True
    ) -> None:
        self.name = name
        self.health = Health()
        self.http = FastAPI(title=f"imagegen {name}", docs_url=None, redoc_url=None)
        self.http.include_router(health_routes(self.health))
        self.publisher = Publisher(name, kafka)
        self._kafka = kafka
        self._process = process
        self._broker = KafkaBroker(
            kafka.bootstrap.split(","),
            client_id=f"imagegen-{name}",
            consumer_only=True,
            apply_types=False,
            graceful_timeout=BATCH_SECONDS,
            logger=None,
        )
        self._wait_for_broker = wait_for_broker
        self._listens = False
        self._background: list[Callable[[], Awaitable[None]]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Service":
        if self._wait_for_broker:
            await self._reach_broker()
        else:
            reaching = asyncio.create_task(self._reach_broker_some_time())
            self._stack.callback(reaching.cancel)
            await asyncio.wait([reaching], timeout=REACH_SECONDS)
            self.background(lambda: reaching)
            self.health.add("kafka", self._not_reached, vital=False)
        return self

    async def _reach_broker(self) -> None:
        """Topics first: a broker may make one of its own for what is published to none."""
        await ensure_topics(self._kafka)
        await self._stack.enter_async_context(self.publisher)

    async def _reach_broker_some_time(self) -> None:
        while not self.publisher.entered:
            try:
                await self._reach_broker()
            except StartupError as error:
                log.warning("broker_not_reached", error=str(error))

    async def _not_reached(self) -> str | None:
        return None if self.publisher.entered else "not reached since the start; requests are kept"

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    def background(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` from start to stop; its failure stops the process."""
        self._background.append(loop)

    def subscribe(
        self,
        *kinds: type[Message],
        group: str,
        topics: Sequence[str] | None = None,
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
    ) -> Callable[[Handler], Handler]:
        """Give the handler batches of these messages; instances with the same group share them.

        `topics` narrows a message type with a topic per provider to some of them.
        """

        def declare(handler: Handler) -> Handler:
            subscription = Subscription(
                kinds,
                handler,
                self.publisher,
                topics=topics,
                on_unreadable=on_unreadable,
                on_failed=on_failed,
                answered_elsewhere=answered_elsewhere,
            )
            self._listen(subscription, group)
            return handler

        return declare

    def _listen(self, subscription: Subscription, group: str) -> None:
        async def parse(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
            return KafkaMessage(body=b"", raw_message=records, consumer=subscriber.consumer)

        async def keep_raw(message: KafkaMessage) -> KafkaMessage:
            return message

        async def consume(message: KafkaMessage) -> None:
            await subscription.consume(message.raw_message, message.consumer)

        async def nothing_parked() -> str | None:
            waiting = sorted(f"{tp.topic}[{tp.partition}]" for tp in subscription.parked)
            return f"cannot handle {', '.join(waiting)}" if waiting else None

        subscriber: Any = self._broker.subscriber(
            *subscription.topics,
            group_id=group,
            batch=True,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=self._kafka.batch_records,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            partition_assignment_strategy=[RangePartitionAssignor],
            listener=subscription,
            parser=parse,
            decoder=keep_raw,
        )
        subscriber(consume)
        self._listens = True
        self.health.add(f"group {group}", nothing_parked)

    async def listen(self) -> None:
        """Begin to consume; `run` does it by itself."""
        if self._listens:
            await connect(self._broker)
            await self._broker.start()

    async def stop_listening(self) -> None:
        """Finish the batches in hand and leave the groups, as far as the broker answers."""
        try:
            await asyncio.wait_for(self._broker.stop(), BATCH_SECONDS + LEAVE_SECONDS)
        except TimeoutError:
            log.warning("stopped_without_leaving")

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, or until a background loop fails; then drain and return."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            _end_anyway_after(STOP_SECONDS)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        server = _HttpServer(self.http, self._process)
        async with asyncio.TaskGroup() as group:
            await self.listen()
            tasks = [group.create_task(_endless(work)) for work in self._background]
            http = group.create_task(server.serve())
            log.info("service_started", http=await server.address())
            await stop.wait()
            log.info("service_stopping")
            ended = asyncio.gather(_ended_in(BATCH_SECONDS + LEAVE_SECONDS, tasks), self.stop_listening())
            server.should_exit = True
            await ended
            await http
        log.info("service_stopped")


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when it ends."""

    def __init__(self, app: FastAPI, settings: ProcessSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=int(BATCH_SECONDS),
            )
        )

    def capture_signals(self) -> Any:
        return nullcontext()

    async def address(self) -> str:
        """Where it listens, once it does."""
        while not self.started:
            await asyncio.sleep(0.01)
        host, port, *_ = self.servers[0].sockets[0].getsockname()
        return f"{host}:{port}"


async def _ended_in(seconds: float, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Tell them to end, and those again that take too long over it."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()


def _end_anyway_after(seconds: float) -> None:
    """As a crash would, which nothing is lost by: a thread that waits for a server cannot be cancelled."""

    def end() -> None:
        log.warning("stop_cut_short", seconds=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def _endless(work: Callable[[], Awaitable[None]]) -> None:
    with suppress(asyncio.CancelledError):
        await work()


def main(service: str, serve: Callable[[KafkaSettings, ProcessSettings], Awaitable[None]]) -> None:
    """A service's entry point: settings, logs, traces, an event loop; exit code 1 with one clear line."""
    try:
        process = read_settings(ProcessSettings)
        configure_logs(service, process)
        configure_tracing(service, process)
        kafka = read_settings(KafkaSettings)
        _run(serve(kafka, process))
    except StartupError as error:
        sys.stderr.write(f"{service}: {error}\n")
        sys.exit(1)


def _run(work: Awaitable[None]) -> None:
    async def entry() -> None:
        await work

    try:
        import uvloop
    except ImportError:
        asyncio.run(entry())
    else:
        uvloop.run(entry())
