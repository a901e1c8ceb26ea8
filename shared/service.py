"""One process: what it reads, what it does in the background, its HTTP surface, its orderly end."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from typing_extensions import TypeForm

from contracts.base import Message
from shared.errors import StartupError
from shared.http.front import Front, HttpServer
from shared.kafka.consumers import Consumers
from shared.kafka.publisher import Publisher
from shared.kafka.subscribe import Handler, M, OnFailed, OnUnreadable
from shared.kafka.subscription import Subscription
from shared.kafka.topics import ensure_topics
from shared.loops import Loops, current, every
from shared.observability.event_loop import watch_event_loop
from shared.observability.health import Health, health_routes
from shared.observability.logs import configure_logs
from shared.observability.tracing import configure_tracing
from shared.settings import KafkaSettings, ProcessSettings, read_settings
from shared.waiting import unreported

log = structlog.get_logger()

STOP_SECONDS = 9.0
"""From the signal to the end of the process, whatever does not answer: orchestrators kill after ten."""
BATCH_SECONDS = 4.5
"""For the batches in hand, HTTP requests and background loops, all at once."""
LEAVE_SECONDS = 1.0
"""For leaving the groups after that; a broker that does not answer notices by itself."""
EXAMINE_SECONDS = 1.0
"""Interval at which the watchdog looks at consumers and background loops."""
REACH_SECONDS = 2.0
"""How long start-up waits for the broker in services that can start without it."""


class Service:
    """A named process on the broker.

    `subscribe` declares handlers before `run`; `background` declares loops that end with the
    process; `http` is the FastAPI application, which requests reach from `run` on. Health and metrics
    answer as soon as the service is entered, before any other server is waited for.

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
        vitals = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        vitals.include_router(health_routes(self.health))
        self.front = Front(vitals, self.http, self._waiting)
        self._server = HttpServer(self.front, process, BATCH_SECONDS)
        self.publisher = Publisher(name, kafka)
        self._kafka = kafka
        self._consumers = Consumers(name, kafka, self.health, BATCH_SECONDS)
        self.address = ""
        """`host:port` of the HTTP surface, once the service is entered."""
        self._wait_for_broker = wait_for_broker
        self._background: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._loops = Loops(name)
        self._waits: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self.health.add("start", self._starting)
        self.health.add("loops", self._stuck_loops, vital=wait_for_broker)
        self.health.add("optional loops", self._stuck_optional_loops, vital=False)

    async def __aenter__(self) -> "Service":
        try:
            await self._enter()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _enter(self) -> None:
        current.set(self._loops)
        self._stack.push_async_callback(self._server.stop)
        self._waits["start"] = "starting"
        self.address = await self._server.listen()
        log.info("health_answers", http=self.address)
        if self._wait_for_broker:
            await self._reach_broker()
        else:
            reaching = asyncio.create_task(self._reach_broker_some_time())
            self._stack.callback(reaching.cancel)
            await asyncio.wait([reaching], timeout=REACH_SECONDS)
            self.health.add("kafka", self._not_reached, vital=False)

    def waits_for(self, what: str, why: str | None) -> None:
        """Tell in health what the start waits for; None: no longer."""
        if why is None:
            self._waits.pop(what, None)
        else:
            self._waits[what] = why

    def _waiting(self) -> str:
        return "; ".join(why for what, why in self._waits.items() if what != "start") or "starting"

    async def _starting(self) -> str | None:
        return self._waiting() if self._waits else None

    async def _stuck_loops(self) -> str | None:
        return self._loops.problems()

    async def _stuck_optional_loops(self) -> str | None:
        return self._loops.problems(vital=False)

    async def _reach_broker(self) -> None:
        """Topics first: a broker may make one of its own for what is published to none."""
        report = self.waits_for if self._wait_for_broker else unreported
        await ensure_topics(self._kafka, report)
        await self.publisher.enter(report)
        self._stack.push_async_exit(self.publisher)

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

    def background(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` from start to stop; its failure, or its end, stops the process."""
        self._background.append((name, loop))

    def subscribe(
        self,
        kinds: TypeForm[M],
        /,
        *,
        group: str,
        topics: Sequence[str] = (),
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed[M] | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
    ) -> Callable[[Handler[M]], Handler[M]]:
        """Declare a handler; see `shared.kafka.subscribe.Subscribe`."""

        def declare(handler: Handler[M]) -> Handler[M]:
            subscription = Subscription(
                kinds,
                handler,
                self.publisher,
                topics=topics,
                on_unreadable=on_unreadable,
                on_failed=on_failed,
                answered_elsewhere=answered_elsewhere,
            )
            self._consumers.add(subscription, group)
            return handler

        return declare

    async def listen(self) -> None:
        """Join the groups and begin to consume; `run` does it by itself."""
        await self._consumers.listen()

    async def stop_listening(self) -> None:
        """Finish the batches in hand and leave the groups, as far as the broker answers."""
        await self._consumers.stop(BATCH_SECONDS + LEAVE_SECONDS)

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, or until a background loop fails; then drain and return."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            _end_anyway_after(STOP_SECONDS)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self.listen())
            loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
                *self._background,
                ("event loop", partial(watch_event_loop, self.name)),
                ("watchdog", self._watch),
                ("consumers", self._consumers.broken),
            ]
            tasks = [group.create_task(_endless(name, work)) for name, work in loops]
            http = group.create_task(self._server.served())
            self._waits.pop("start", None)
            keep_for_good()
            self.front.open()
            log.info("service_started", http=self.address)
            await stop.wait()
            log.info("service_stopping")
            listening.cancel()
            ended = asyncio.gather(_ended_in(BATCH_SECONDS + LEAVE_SECONDS, tasks), self.stop_listening())
            self._server.should_exit = True
            await ended
            await http
        log.info("service_stopped")

    async def _watch(self) -> None:
        async def examine() -> None:
            self._loops.examine()
            self._consumers.examine()

        await every(EXAMINE_SECONDS, examine, name="watchdog")


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


def keep_for_good() -> None:
    """Exempt everything that start-up has made from garbage collection.

    A full collection would look at all of it each time and hold the event loop for about 100 ms.
    """
    gc.collect()
    gc.freeze()


async def _endless(name: str, work: Callable[[], Awaitable[None]]) -> None:
    with suppress(asyncio.CancelledError):
        await work()
        raise RuntimeError(f"background loop {name} has ended by itself")


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
