"""The whole stack: start servers, then simulators, then services; stop them in the opposite order."""

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

from deploy.local.apache_kafka.install import install
from deploy.local.brokers import Broker
from deploy.local.fixed_ports import FIXED_PORTS
from deploy.local.outages import BrokerControl
from deploy.local.ports import Ports
from deploy.local.processes import Command, Kind
from deploy.local.providers import RealProviders
from deploy.local.proxy import Proxy
from deploy.local.servers import SIMULATORS, STORES, Site, simulator, store
from deploy.local.services import (
    SERVICES,
    basics,
    load_or_generate_secrets,
    providers_environment,
    service,
    stores_environment,
)
from deploy.local.state import (
    TOKEN_VARIABLE,
    ProcessState,
    StackState,
    StateFolder,
    kill_leftovers,
)
from deploy.local.supervised import Supervised
from deploy.local.together import together

logger = logging.getLogger("deploy.local")

STOP_ORDER: tuple[Kind, ...] = ("service", "simulator", "server")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """The processes to start, and the folder of their state."""

    state: Path = Path(".imagegen")
    brokers: int | None = None
    """Number of Kafka nodes; None means KAFKA_BROKERS, by default one."""
    bootstrap: str | None = None
    """Address of an external Kafka; with one the stack starts none."""
    stores: tuple[str, ...] = STORES
    simulators: tuple[str, ...] = SIMULATORS
    real: RealProviders = field(default_factory=RealProviders)
    """Real providers, in place of the simulators of the same names."""
    fixed_ports: bool = False
    """Prefer the documented ports to free ones."""
    services: tuple[str, ...] = SERVICES
    instances: Mapping[str, int] = field(default_factory=dict)
    latency_seconds: float = 0.5
    proxied: tuple[str, ...] = ()
    """Servers (kafka, mongo, s3) that services reach through a proxy, which can cut them off."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables for every service."""
    launcher: tuple[str, ...] = ()
    """A module, and its arguments, that runs the services' modules."""


class Stack:
    """A running stack, as an async context manager. Use it from the main thread."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.folder = StateFolder(options.state)
        self._broker = Broker.of(options.brokers, options.bootstrap)
        self.proxies: dict[str, Proxy] = {}
        self._processes: dict[str, Supervised] = {}
        self._state = StackState()
        self._site = Site(Ports({}), self.folder.data, self.folder.temporary, {})
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Stack":
        self.folder.hold()
        try:
            await self._start()
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

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every service; each has its own HTTP_PORT besides."""
        return {**self._state.environment, **self.options.real.variables}

    @property
    def _simulated(self) -> tuple[str, ...]:
        return tuple(name for name in self.options.simulators if name not in self.options.real.names)

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
        """Control of single broker nodes."""
        return BrokerControl(self._broker, self._processes, lambda: self._write(self._state.phase))

    def simulator_url(self, name: str) -> str:
        return self.addresses[name]

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process. A process that dies is restarted soon after."""
        await self._processes[name].send(number)

    async def stop_service(self, name: str) -> None:
        """Stop one process with its grace period. It is not restarted until `start_service`."""
        await self._processes[name].stop()
        self._write(self._state.phase)

    async def start_service(self, name: str, number: int = 1) -> str:
        """Start a service, one more instance of it, or a stopped one; return the process's name."""
        process = self._processes.get(name if number == 1 else f"{name}-{number}")
        if process is None:
            launcher = self.options.launcher
            prepare = partial(service, name, number, self._site, self.environment, launcher)
            process = await self._run(prepare)
        elif process.pid is None:
            await process.stop()
            await process.start()
        self._write(self._state.phase)
        return process.command.name

    async def wait_ready(self, name: str, timeout: float = 60.0) -> None:
        """Wait until a killed process is ready again."""
        await asyncio.wait_for(self._processes[name].ready.wait(), timeout)

    async def close(self) -> None:
        """Stop everything: services, simulators, servers. No process stays behind."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._stop(), name="stop the stack")
        await asyncio.shield(self._closing)

    async def _start(self) -> None:
        last_time = self.folder.read()
        kill_leftovers(last_time)
        secrets = load_or_generate_secrets(last_time.environment)
        environment = {**basics(), TOKEN_VARIABLE: self._state.token}
        ports = Ports(last_time.ports, FIXED_PORTS if self.options.fixed_ports else None)
        proxied = {*self.options.proxied, *(self._broker.names if "kafka" in self.options.proxied else ())}
        proxy_ports = {name: ports.pick(f"{name}.proxy") for name in sorted(proxied)}
        folders = (self.folder.data, self.folder.temporary)
        self._site = Site(ports, *folders, environment, proxy_ports, self._simulated)
        self._state.environment = secrets  # written before the first process starts
        self._state.ports = dict(last_time.ports)
        self._write("starting")
        await self._start_servers(secrets)
        await self._start_proxies()
        stores = {name: self._client_address(name) for name in self.options.stores}
        simulated = {name: self.addresses[name] for name in self._simulated}
        self._state.environment = {
            **secrets,
            **self._broker.environment([self._client_address(name) for name in self._broker.names]),
            **stores_environment(stores),
            **providers_environment(simulated),
            **self.options.environment,
        }
        await together(*(self.start_service(*each) for each in self._service_instances()))
        self._write("ready")

    async def _start_servers(self, secrets: Mapping[str, str]) -> None:
        prepare: list[Callable[[], Command]] = []
        if self._broker.nodes:
            kafka = await install(logger.info)
            prepare += self._broker.commands(self._site, kafka)
        prepare += [partial(store, name, self._site, secrets) for name in self.options.stores]
        latency = self.options.latency_seconds
        for name in self._simulated:
            prepare.append(partial(simulator, name, self._site, latency))
        await together(*(self._run(each) for each in prepare))

    async def _start_proxies(self) -> None:
        for name, port in self._site.proxy_ports.items():
            proxy = Proxy(self.addresses[name].removeprefix("http://"), port)
            self.proxies[name] = await proxy.__aenter__()

    def _client_address(self, name: str) -> str:
        """Return the address for clients of a server: that of its proxy, if it has one."""
        address, proxy = self.addresses[name], self.proxies.get(name)
        return address.replace(address.removeprefix("http://"), proxy.address) if proxy else address

    def _service_instances(self) -> list[tuple[str, int]]:
        count = self.options.instances
        names = self.options.services
        return [(name, 1 + i) for name in names for i in range(count.get(name, 1))]

    async def _run(self, prepare: Callable[[], Command]) -> Supervised:
        process = Supervised(prepare, self.folder.logs, self._changed)
        self._processes[process.command.name] = process
        self._write(self._state.phase)
        await process.start()
        self._write(self._state.phase)
        return process

    def _changed(self, process: Supervised) -> None:
        """Log and record that a process died or is ready again."""
        name = process.command.name
        if process.ready.is_set():
            logger.info("%s is ready again", name)
        elif process.process:
            short, reason = process.process.describe_exit(), str(process.process.failed())
            logger.warning("%s", reason if process.command.kind == "server" else f"{name} {short}")
        self._write(self._state.phase)

    async def _stop(self) -> None:
        try:
            for kind in STOP_ORDER:
                of_kind = [each for each in self._processes.values() if each.command.kind == kind]
                stopping = (each.stop() for each in of_kind)
                for failure in await asyncio.gather(*stopping, return_exceptions=True):
                    if failure:
                        logger.error("a process failed to stop: %r", failure)
            for proxy in self.proxies.values():
                await proxy.__aexit__()
            self._write("stopped")
        finally:
            self.folder.release()

    def _write(self, phase: Literal["starting", "ready", "stopped"]) -> None:
        state = self._state
        state.phase = phase
        state.supervisor = None if phase == "stopped" else os.getpid()
        state.ports |= self._site.ports.chosen
        state.moved = self._site.ports.moved
        state.real_providers = self.options.real.addresses
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
