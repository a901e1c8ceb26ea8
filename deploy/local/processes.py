"""One child process: start it, wait until it is ready, stop it. It ends with its parent."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.local.logs import tail
from deploy.local.ports import is_free, listens
from deploy.local.probes import Probe
from deploy.local.sockets import remove_dead_sockets

Kind = Literal["server", "simulator", "service"]

DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
PROBE_EVERY_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line with its environment, and the probe that shows that the process is ready."""

    name: str
    kind: Kind
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    ports: tuple[int, ...]
    address: str
    ready: Probe
    ready_seconds: float = 120.0  # several processes start at once, perhaps on a busy machine
    grace_seconds: float = 10.0
    sockets: tuple[Path, ...] = field(default=())


class ProcessFailed(Exception):
    """A process did not become ready, or ended."""

    def __init__(self, command: Command, reason: str, ending: str, *, port_taken: bool = False):
        log = f"\n--- end of its log ---\n{ending}" if ending else " Its log is empty."
        super().__init__(f"{command.name} ({command.address}) {reason}.{log}")
        self.port_taken = port_taken


class Process:
    """One run of a command. The thread that starts it must outlive it."""

    def __init__(self, command: Command, log: Path, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self.log = log
        self._process = process
        self._group_ended = False

    @classmethod
    async def start(cls, command: Command, log: Path) -> "Process":
        remove_dead_sockets(command.sockets)
        wrapper = (sys.executable, "-I", "-S", str(DIE_WITH_PARENT), str(os.getpid()))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                *command.arguments,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the supervisor only
            )
        return cls(command, log, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        """Return the exit code, after killing the rest of the process group."""
        code = await self._process.wait()
        if not self._group_ended:
            self._group_ended = True
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return code

    async def wait_ready(self) -> None:
        command = self.command
        try:
            async with asyncio.timeout(command.ready_seconds):
                while not await self._is_ready():
                    if self.exit_code is not None:
                        taken = any(not is_free(port) for port in command.ports)
                        raise self.failed(self.describe_exit("before"), port_taken=taken)
                    await asyncio.sleep(PROBE_EVERY_SECONDS)
        except TimeoutError:
            await self.stop(grace_seconds=0)
            waited = f"was not ready after {command.ready_seconds:g} s"
            raise self.failed(waited) from None

    def failed(self, reason: str | None = None, *, port_taken: bool = False) -> ProcessFailed:
        reason = reason or self.describe_exit()
        return ProcessFailed(self.command, reason, tail(self.log), port_taken=port_taken)

    def describe_exit(self, when: str = "after") -> str:
        code = self.exit_code or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return f"{how} {when} it was ready"

    def send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Send SIGTERM, wait for the grace period, then send SIGKILL."""
        grace = self.command.grace_seconds if grace_seconds is None else grace_seconds
        if grace > 0:
            self.send(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace)
        self.send(signal.SIGKILL)
        await self.wait()
        remove_dead_sockets(self.command.sockets)

    async def _is_ready(self) -> bool:
        answered = await self.command.ready()
        return answered and all(listens(self.pid, port) for port in self.command.ports)
