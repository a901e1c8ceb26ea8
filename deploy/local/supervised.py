"""A process that is started again when it dies, as an orchestrator would."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.local.logs import keep_one_older
from deploy.local.processes import Command, Process, ProcessFailed

logger = logging.getLogger("deploy.local")

PORT_TRIES = 5
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
STEADY_SECONDS = 30.0


class Supervised:
    """Keeps one command running until it is told to stop.

    `prepare` chooses the ports anew for each try of the first start; a restart uses the same.
    `changed` is told about every death and every recovery.
    """

    def __init__(
        self, prepare: Callable[[], Command], logs: Path, changed: Callable[["Supervised"], None]
    ) -> None:
        self.command = prepare()
        self.restarts = 0
        self.ready = asyncio.Event()
        self.process: Process | None = None
        self._prepare = prepare
        self._log = logs / f"{self.command.name}.log"
        self._changed = changed
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        alive = self.process is not None and self.process.exit_code is None
        return self.process.pid if self.process and alive else None

    async def start(self) -> None:
        """Start it; raise ProcessFailed, with the end of its log, if it does not become ready."""
        keep_one_older(self._log)
        tries = PORT_TRIES if self.process is None else 1  # others know the port of one that ran
        for tries_left in reversed(range(tries)):
            try:
                await self._launch()
                break
            except ProcessFailed as error:
                if not (error.port_taken and tries_left):
                    raise
                logger.warning("%s: its port was taken, trying another", self.command.name)
                self.command = self._prepare()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.command.name}")

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Stop it until it is started again; without grace by SIGKILL."""
        if self._keeper and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        self.ready.clear()
        if self.process:
            await self.process.stop(grace_seconds)

    async def send(self, number: signal.Signals) -> None:
        """Send a signal; one that ends a process is awaited, up to ten seconds."""
        if (process := self.process) is None:
            return
        process.send(number)
        if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
            await asyncio.wait_for(process.wait(), 10)
            self.ready.clear()

    async def _launch(self) -> None:
        self.process = await Process.start(self.command, self._log)
        await self.process.wait_ready()
        self.ready.set()

    async def _keep(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while self.process:
            since = time.monotonic()
            await self.process.wait()
            self.ready.clear()
            self._changed(self)
            if time.monotonic() - since > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            self.restarts += 1
            try:
                await self._launch()
            except ProcessFailed as error:
                logger.warning("%s", error)
                continue
            self._changed(self)
