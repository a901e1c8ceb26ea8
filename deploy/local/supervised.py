"""A process that is restarted when it dies, as by an orchestrator."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.local.logs import rotate
from deploy.local.processes import Command, Process, ProcessFailed

logger = logging.getLogger("deploy.local")

PORT_TRIES = 5
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
STEADY_SECONDS = 30.0


class Supervised:
    """Restart one command whenever it ends, until `stop`.

    `prepare` chooses new ports for each try of the first start; a restart uses the same ports.
    `changed` is called after every death and every recovery.
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
        self._supervision: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        alive = self.process is not None and self.process.exit_code is None
        return self.process.pid if self.process and alive else None

    async def start(self) -> None:
        """Start the process. Raise ProcessFailed, with the end of its log, if it does not become ready."""
        rotate(self._log)
        tries = PORT_TRIES if self.process is None else 1  # other processes know the port of one that ran
        for tries_left in reversed(range(tries)):
            try:
                await self._launch()
                break
            except ProcessFailed as error:
                if not (error.port_taken and tries_left):
                    raise
                logger.warning("%s: port is in use, trying another", self.command.name)
                self.command = self._prepare()
        self._supervision = asyncio.create_task(self._supervise(), name=f"keep {self.command.name}")

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Stop the process until it is started again. A grace period of 0 means SIGKILL."""
        if self._supervision and self._supervision is not asyncio.current_task():
            self._supervision.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervision
        self.ready.clear()
        if self.process:
            await self.process.stop(grace_seconds)

    async def send(self, number: signal.Signals) -> None:
        """Send a signal. After one that ends a process, wait up to ten seconds for its end."""
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

    async def _supervise(self) -> None:
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
