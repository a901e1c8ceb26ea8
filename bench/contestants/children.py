"""Processes of a contestant, which end with the benchmark."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.probes import Probe
from deploy.local.processes import Command, Process
from deploy.local.servers import ROOT
from deploy.local.services import basics
from deploy.local.together import together


class Children:
    """A group of processes that start and stop together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Process] = {}

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    async def start(
        self,
        name: str,
        arguments: tuple[str, ...],
        ready: Probe,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a process. Raise ProcessFailed, with the end of its log, if it does not become ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = Command(
            name=name,
            kind="service",
            arguments=arguments,
            environment={**basics(), **(environment or {}), "PYTHONPATH": str(ROOT)},
            directory=ROOT,
            ports=(),
            address="a contestant of the benchmark",
            ready=ready,
        )
        self._running[name] = await Process.start(command, self._folder / f"{name}.log")
        await self._running[name].wait_ready()

    async def start_modules(
        self, module: str, count: int, environment: Mapping[str, str], *more: str
    ) -> None:
        """Start several processes of one Python module; each creates a file once it is ready."""
        await together(*(self._start_module(module, number, environment, more) for number in range(count)))

    async def _start_module(
        self, module: str, number: int, environment: Mapping[str, str], more: tuple[str, ...]
    ) -> None:
        name = f"{module.rpartition('.')[2]}-{number + 1}"
        mark = self._folder / f"{name}.ready"
        mark.unlink(missing_ok=True)

        async def is_marked() -> bool:
            return mark.exists()

        arguments = (sys.executable, "-m", module, *more)
        await self.start(name, arguments, is_marked, {**environment, "BENCH_READY": str(mark)})

    async def stop(self) -> None:
        """Ask all processes to stop, the last started first, and wait until all have ended."""
        running, self._running = self._running, {}
        await asyncio.gather(*(each.stop() for each in reversed(running.values())))


def signal_ready(environment: Mapping[str, str]) -> None:
    """Mark this process as ready; called by modules that `start_modules` runs."""
    Path(environment["BENCH_READY"]).touch()
