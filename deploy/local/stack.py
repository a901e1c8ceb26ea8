"""The whole stack: servers, then simulators, then services; and back in the opposite order."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

from deploy.local.brokers import Broker, BrokerKind
from deploy.local.outages import BrokerControl
from deploy.local.ports import Ports
from deploy.local.processes import Command, Kind
from deploy.local.servers import SIMULATORS, STORES, Site, simulator, store
from deploy.local.services import (
    SERVICES,
    basics,
    keep_or_make_secrets,
    providers_environment,
    service,
    stores_environment,
)
from deploy.local.state import (
    TOKEN_VARIABLE,
    ProcessState,
    StackState,
    StateFolder,
    clear_leftovers,
)
from deploy.local.supervised import Supervised
from deploy.local.together import together

logger = logging.getLogger("deploy.local")

STOP_ORDER: tuple[Kind, ...] = ("service", "simulator", "server")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What to start, and where its state lies. Without `broker`, KAFKA and KAFKA_BROKERS decide."""

    state: Path = Path(".imagegen")
    broker: BrokerKind | None = None
    brokers: int | None = None
    stores: tuple[str, ...] = STORES
    simulators: tuple[str, ...] = SIMULATORS
    services: tuple[str, ...] = SERVICES
    instances: Mapping[str, int] = field(default_factory=dict)
    latency_seconds: float = 0.5


class StackFailed(Exception):
    """A server that cannot be replaced is gone, so the stack was stopped."""


class Stack:
    """Runs everything for as long as the block lasts. Use it from the main thread."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.folder = StateFolder(options.state)
        self._broker = Broker.of(options.broker, options.brokers)
        self.failure: str | None = None
        self.failed = asyncio.Event()
        self._processes: dict[str, Supervised] = {}
        self._state = StackState()
        self._site = Site(Ports({}), self.folder.data, self.folder.temporary, {})
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Stack":
        self.folder.hold()
        try:
            await self._start()
            if self.failure:
                raise StackFailed(self.failure)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        if self.failure and error is None:
            raise StackFailed(self.failure)

    @property
    def environment(self) -> dict[str, str]:
        """What each service is given; its own HTTP_PORT comes on top."""
        return dict(self._state.environment)

    @property
    def addresses(self) -> dict[str, str]:
        return {name: each.command.address for name, each in self._processes.items()}

    @property
    def processes(self) -> dict[str, ProcessState]:
        return {name: _state_of(each) for name, each in self._processes.items()}

    @property
    def api_url(self) -> str:
        return self.addresses["api"]

    @property
    def notifier_url(self) -> str:
        return self.addresses["notifier"]

    @property
    def broker(self) -> BrokerControl:
        """Takes the broker, or a node of it, away and gives it back."""
        return BrokerControl(self._broker, self._processes, lambda: self._write(self._state.phase))

    def simulator_url(self, name: str) -> str:
        return self.addresses[name]

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process. What dies of it is started again soon after."""
        await self._processes[name].send(number)

    async def stop_service(self, name: str) -> None:
        """Stop one process in good order; it stays down until it is started again."""
        await self._processes[name].stop()
        self._write(self._state.phase)

    async def start_service(self, name: str, number: int = 1) -> str:
        """Start a service, or one more instance, or what was stopped; gives the process's name."""
        process = self._processes.get(name if number == 1 else f"{name}-{number}")
        if process is None:
            prepare = partial(service, name, number, self._site, self.environment)
            process = await self._run(prepare)
        elif process.pid is None:
            await process.stop()
            await process.start()
        self._write(self._state.phase)
        return process.command.name

    async def wait_ready(self, name: str, timeout: float = 60.0) -> None:
        """Wait until a process that was killed is back."""
        await asyncio.wait_for(self._processes[name].ready.wait(), timeout)

    async def close(self) -> None:
        """Stop everything: services, simulators, servers. Nothing is left running."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._stop(), name="stop the stack")
        await asyncio.shield(self._closing)

    async def _start(self) -> None:
        last_time = self.folder.read()
        clear_leftovers(last_time)
        secrets = keep_or_make_secrets(last_time.environment)
        environment = {**basics(), TOKEN_VARIABLE: self._state.token}
        ports = Ports(last_time.ports)
        self._site = Site(ports, self.folder.data, self.folder.temporary, environment)
        self._state.environment = secrets  # kept from the first moment on
        self._state.ports = dict(last_time.ports)
        self._write("starting")
        await self._start_servers(secrets)
        stores = {name: self.addresses[name] for name in self.options.stores}
        simulated = {name: self.addresses[name] for name in self.options.simulators}
        self._state.environment = {
            **secrets,
            **self._broker.environment([self.addresses[name] for name in self._broker.names]),
            **stores_environment(stores),
            **providers_environment(simulated),
        }
        await together(*(self.start_service(*each) for each in self._wanted_services()))
        self._write("ready")

    async def _start_servers(self, secrets: Mapping[str, str]) -> None:
        prepare = self._broker.commands(self._site)
        prepare += [partial(store, name, self._site, secrets) for name in self.options.stores]
        latency = self.options.latency_seconds
        for name in self.options.simulators:
            prepare.append(partial(simulator, name, self._site, latency))
        await together(*(self._run(each) for each in prepare))

    def _wanted_services(self) -> list[tuple[str, int]]:
        count = self.options.instances
        names = self.options.services
        return [(name, 1 + i) for name in names for i in range(count.get(name, 1))]

    async def _run(self, prepare: Callable[[], Command]) -> Supervised:
        process = Supervised(prepare, self.folder.logs, self._changed)
        self._processes[process.command.name] = process
        await process.start()
        return process

    def _changed(self, process: Supervised) -> None:
        """A process died, or is back."""
        name = process.command.name
        if process.ready.is_set():
            logger.info("%s is back", name)
        elif process.process:
            short, reason = process.process.how_it_ended(), str(process.process.failed())
            logger.warning("%s", reason if process.command.kind == "server" else f"{name} {short}")
            if not process.command.restarts:
                self._fail(f"{reason}\n{name} keeps its data in memory: the stack was stopped.")
        self._write(self._state.phase)

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self.failed.set()
        self._closing = self._closing or asyncio.create_task(self._stop(), name="stop the stack")

    async def _stop(self) -> None:
        try:
            for kind in STOP_ORDER:
                of_kind = [each for each in self._processes.values() if each.command.kind == kind]
                stopping = (each.stop() for each in of_kind)
                for failure in await asyncio.gather(*stopping, return_exceptions=True):
                    if failure:
                        logger.error("while stopping: %r", failure)
            self._write("stopped")
        finally:
            self.folder.release()

    def _write(self, phase: Literal["starting", "ready", "stopped"]) -> None:
        state = self._state
        state.phase = phase
        state.supervisor = None if phase == "stopped" else os.getpid()
        state.ports |= self._site.ports.chosen
        state.addresses = self.addresses
        state.processes = self.processes
        state.sockets = tuple(path for each in self._processes.values() for path in each.command.sockets)
        self.folder.write(state)


def _state_of(process: Supervised) -> ProcessState:
    return ProcessState(
        kind=process.command.kind,
        address=process.command.address,
        pid=process.pid,
        ready=process.ready.is_set(),
        restarts=process.restarts,
    )
