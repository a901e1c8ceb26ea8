"""The state folder: its lock, stack.json, and the removal of processes that a crash left running."""

import fcntl
import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.local.processes import Kind
from deploy.local.sockets import remove_dead_sockets

TOKEN_VARIABLE = "IMAGEGEN_STACK"
LEFTOVERS_SECONDS = 5.0


class AlreadyRunning(Exception):
    """Another supervisor holds the lock of this state folder."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        super().__init__(f"A stack is already running in {folder} (process {pid}).")


class ProcessState(BaseModel):
    """State of one process, as other programs read it."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    address: str
    pid: int | None
    ready: bool
    restarts: int


class StackState(BaseModel):
    """Content of stack.json: the state that another process, or the next start, needs."""

    phase: Literal["starting", "ready", "stopped"] = "stopped"
    supervisor: int | None = None
    token: str = Field(default_factory=lambda: secrets.token_hex(16))
    addresses: dict[str, str] = {}
    environment: dict[str, str] = {}
    processes: dict[str, ProcessState] = {}
    ports: dict[str, int] = {}
    moved: dict[str, int] = {}
    """Fixed ports that were occupied, by the names that have other ports in this stack."""
    real_providers: dict[str, str] = {}
    """Addresses of the providers that are not simulated."""
    sockets: tuple[Path, ...] = ()


class StateFolder:
    """One folder, locked by at most one supervisor."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.data = self.path / "data"
        self.logs = self.path / "logs"
        self.temporary = self.path / "tmp"
        self._lock_file = self.path / "lock"
        self._stack_file = self.path / "stack.json"
        self._held: IO[str] | None = None

    def create(self) -> None:
        for folder in (self.path, self.data, self.logs, self.temporary):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def hold(self) -> None:
        """Lock the folder for this process until `release`."""
        self.create()
        lock = self._lock_file.open("a+", encoding="utf-8")
        if not _locked(lock):
            lock.close()
            raise AlreadyRunning(self.path, self.holder())
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._held = lock
        for old in self.temporary.iterdir():
            old.unlink()

    def release(self) -> None:
        if self._held:
            self._held.close()
            self._held = None

    def holder(self) -> int | None:
        """Return the id of the process that holds the lock, or None."""
        with suppress(FileNotFoundError), self._lock_file.open("r", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
        return None

    def read(self) -> StackState:
        """Return the state in stack.json, or an empty one when the file is missing or broken."""
        with suppress(FileNotFoundError, ValidationError):
            return StackState.model_validate_json(self._stack_file.read_bytes())
        return StackState()

    def write(self, state: StackState) -> None:
        draft = self._stack_file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=2) + "\n")
        draft.replace(self._stack_file)


def kill_leftovers(state: StackState) -> None:
    """Kill the processes that survived an unclean stop. Their environment has the token of that start."""
    deadline = time.monotonic() + LEFTOVERS_SECONDS
    while (survivors := _pids_with_token(state.token)) and time.monotonic() < deadline:
        for pid in survivors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    remove_dead_sockets(state.sockets)


def _pids_with_token(token: str) -> list[int]:
    if sys.platform != "linux":
        return []
    mark = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _locked(lock: IO[str]) -> bool:
    for _ in range(5):  # another process may hold the shared lock for a moment in `holder`
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False
