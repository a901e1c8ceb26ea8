"""Fault injection at random, from a seed: kills, pauses, cut connections."""

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from deploy.local.stack import Stack
from tests.chaos.bag import ShuffleBag
from tests.chaos.receiver import Receiver

log = logging.getLogger("chaos")

BROKER = "kafka"


@dataclass(frozen=True)
class FaultProfile:
    """Seconds between faults, and the number of faults of each kind in a round."""

    pause: tuple[float, float] = (1.5, 4.0)
    actions: tuple[tuple[str, int], ...] = (
        ("kill", 16),
        ("pause", 3),
        ("pause_broker", 1),
        ("cut", 3),
        ("receiver_down", 2),
    )
    """A round kills every kind of process once and cuts the connections of every server."""
    pauses_seconds: tuple[float, float] = (0.5, 14.0)
    """The longest exceeds a lease: a process that continues finds it expired."""
    servers: tuple[str, ...] = ("mongo", "s3")
    broker_away_seconds: tuple[float, float] = (0.5, 8.0)
    broker_pauses_seconds: tuple[float, float] = (0.5, 5.0)

    @property
    def round_seconds(self) -> float:
        """Seconds that a round takes on average."""
        return sum(count for _, count in self.actions) * sum(self.pause) / 2


@dataclass
class Monkey:
    """A chaos monkey. `done` counts the faults by kind and process; `failures` are its own errors."""

    stack: Stack
    receivers: Sequence[Receiver]
    rng: Random
    profile: FaultProfile = field(default_factory=FaultProfile)
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    now: str = "kills"
    _away: set[int] = field(default_factory=set)
    _recovering: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = (name for name, count in self.profile.actions for _ in range(count))
        self._actions = ShuffleBag(names, self.rng)
        self._kinds = ShuffleBag(self._killable(), self.rng)
        self._proxies = ShuffleBag(sorted(self.stack.proxies), self.rng)

    @property
    def kills(self) -> int:
        """Number of processes that were killed with SIGKILL."""
        return sum(count for action, count in self.done.items() if action.startswith("kill "))

    @property
    def missed(self) -> list[str]:
        """Return the kinds of processes that were never killed."""
        killed = {kind_of(action.split()[1]) for action in self.done if action.startswith("kill ")}
        return [kind for kind in self._killable() if kind not in killed]

    async def run(self) -> None:
        """Inject faults until cancelled; then continue all paused processes."""
        try:
            while True:
                await asyncio.sleep(self.rng.uniform(*self.profile.pause))
                await getattr(self, f"_{self._actions.draw()}")()
        except Exception as error:
            self.failures.append(repr(error))
            log.exception("fault injection failed")
        finally:
            for task in self._recovering:
                task.cancel()
            await asyncio.gather(*self._recovering, return_exceptions=True)

    def _killable(self) -> list[str]:
        """Return the kinds of processes that may be killed."""
        services = sorted({kind_of(name) for name in self._services()})
        return [*services, *self.profile.servers, BROKER]

    async def _kill(self) -> None:
        kind = self._kinds.draw(lambda kind: bool(self._alive(kind)))
        if kind is None:
            return
        name = self.rng.choice(self._alive(kind))
        log.info("kill -9 %s", name)
        self.done[f"kill {name}"] += 1
        if kind == BROKER:
            await self._kill_broker(name)
        else:
            await self.stack.kill(name, signal.SIGKILL)

    def _alive(self, kind: str) -> list[str]:
        """Return the processes of a kind that are ready, not restarting."""
        processes = self.stack.processes
        return [name for name in sorted(processes) if kind_of(name) == kind and processes[name].ready]

    async def _kill_broker(self, name: str) -> None:
        number = self._number(name)
        self._away.add(number)
        await self.stack.broker.kill(number)
        self._later(self._bring_back(number, self.rng.uniform(*self.profile.broker_away_seconds)))

    async def _bring_back(self, number: int, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.stack.broker.start(number)
            self._away.discard(number)

    async def _pause(self) -> None:
        name = self.rng.choice([*self._services(), *self.profile.servers])
        seconds = self.rng.uniform(*self.profile.pauses_seconds)
        if self.stack.processes[name].ready:
            await self._stop_for(name, seconds)

    async def _pause_broker(self) -> None:
        alive = [name for name in self._alive(BROKER) if self._number(name) not in self._away]
        if alive:
            seconds = self.rng.uniform(*self.profile.broker_pauses_seconds)
            await self._stop_for(self.rng.choice(alive), seconds)

    async def _stop_for(self, name: str, seconds: float) -> None:
        log.info("pause %s for %.1f s", name, seconds)
        self.done[f"pause {name}"] += 1
        await self.stack.kill(name, signal.SIGSTOP)
        self._later(self._continue(name, seconds))

    async def _continue(self, name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.stack.kill(name, signal.SIGCONT)

    async def _cut(self) -> None:
        name = str(self._proxies.draw())
        log.info("cut the connections of %s", name)
        self.done[f"cut {name}"] += 1
        self.stack.proxies[name].cut()

    async def _receiver_down(self) -> None:
        receiver = self.rng.choice(self.receivers)
        self.done["receiver down"] += 1
        receiver.down = True
        self._later(self._up(receiver, self.rng.uniform(2.0, 8.0)))

    async def _up(self, receiver: Receiver, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            receiver.down = False

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._recovering.add(task)
        task.add_done_callback(self._recovered)

    def _recovered(self, task: asyncio.Task[None]) -> None:
        self._recovering.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.failures.append(repr(error))

    def _services(self) -> list[str]:
        return [name for name, process in self.stack.processes.items() if process.kind == "service"]

    def _number(self, name: str) -> int:
        """Return the number of a broker node."""
        return int(name.partition("-")[2] or 1)


def kind_of(name: str) -> str:
    """Return the kind of a process: the service of an instance, or the broker."""
    return name.partition("-")[0]
