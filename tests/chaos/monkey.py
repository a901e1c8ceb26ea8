"""Kills, pauses and cuts at random, from a seed, and counts what it did."""

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from deploy.local.stack import Stack
from tests.chaos.bag import Bag
from tests.chaos.receiver import Receiver

log = logging.getLogger("chaos")

BROKER = "kafka"


@dataclass(frozen=True)
class Temper:
    """How bad it is. Seconds between deeds, and how many of a round of deeds are what."""

    pause: tuple[float, float] = (1.5, 4.0)
    deeds: tuple[tuple[str, int], ...] = (
        ("kill", 16),
        ("pause", 3),
        ("pause_broker", 1),
        ("cut", 3),
        ("receiver_down", 2),
    )
    """A round kills every kind of process once and cuts off every server."""
    pauses_seconds: tuple[float, float] = (0.5, 14.0)
    """Longer than a lease: whoever wakes up was declared dead."""
    servers: tuple[str, ...] = ("mongo", "s3")
    broker_away_seconds: tuple[float, float] = (0.5, 8.0)
    broker_pauses_seconds: tuple[float, float] = (0.5, 5.0)

    @property
    def round_seconds(self) -> float:
        """How long a round of deeds takes."""
        return sum(count for _, count in self.deeds) * sum(self.pause) / 2


@dataclass
class Monkey:
    """One run of it. `done` is what it did, by deed and process; `failures` what it could not."""

    stack: Stack
    receivers: Sequence[Receiver]
    dice: Random
    temper: Temper = field(default_factory=Temper)
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    now: str = "kills"
    _away: set[int] = field(default_factory=set)
    _waking: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = (name for name, count in self.temper.deeds for _ in range(count))
        self._deeds = Bag(names, self.dice)
        self._kinds = Bag(self._mortal(), self.dice)
        self._proxies = Bag(sorted(self.stack.proxies), self.dice)

    @property
    def kills(self) -> int:
        """How many processes were ended with -9."""
        return sum(count for deed, count in self.done.items() if deed.startswith("kill "))

    @property
    def spared(self) -> list[str]:
        """Kinds of processes that were never killed."""
        killed = {kind_of(deed.split()[1]) for deed in self.done if deed.startswith("kill ")}
        return [kind for kind in self._mortal() if kind not in killed]

    async def run(self) -> None:
        """Until cancelled; then everything that sleeps is woken."""
        try:
            while True:
                await asyncio.sleep(self.dice.uniform(*self.temper.pause))
                await getattr(self, f"_{self._deeds.draw()}")()
        except Exception as error:
            self.failures.append(repr(error))
            log.exception("the monkey fell off")
        finally:
            for task in self._waking:
                task.cancel()
            await asyncio.gather(*self._waking, return_exceptions=True)

    def _mortal(self) -> list[str]:
        """The kinds of processes that may be killed."""
        services = sorted({kind_of(name) for name in self._services()})
        return [*services, *self.temper.servers, BROKER]

    async def _kill(self) -> None:
        kind = self._kinds.draw(lambda kind: bool(self._alive(kind)))
        if kind is None:
            return
        name = self.dice.choice(self._alive(kind))
        log.info("kill -9 %s", name)
        self.done[f"kill {name}"] += 1
        if kind == BROKER:
            await self._kill_broker(name)
        else:
            await self.stack.kill(name, signal.SIGKILL)

    def _alive(self, kind: str) -> list[str]:
        """Those of a kind that are not on their way back."""
        processes = self.stack.processes
        return [name for name in sorted(processes) if kind_of(name) == kind and processes[name].ready]

    async def _kill_broker(self, name: str) -> None:
        number = self._number(name)
        self._away.add(number)
        await self.stack.broker.kill(number)
        self._later(self._bring_back(number, self.dice.uniform(*self.temper.broker_away_seconds)))

    async def _bring_back(self, number: int, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.stack.broker.start(number)
            self._away.discard(number)

    async def _pause(self) -> None:
        name = self.dice.choice([*self._services(), *self.temper.servers])
        seconds = self.dice.uniform(*self.temper.pauses_seconds)
        if self.stack.processes[name].ready:
            await self._stop_for(name, seconds)

    async def _pause_broker(self) -> None:
        alive = [name for name in self._alive(BROKER) if self._number(name) not in self._away]
        if alive:
            seconds = self.dice.uniform(*self.temper.broker_pauses_seconds)
            await self._stop_for(self.dice.choice(alive), seconds)

    async def _stop_for(self, name: str, seconds: float) -> None:
        log.info("pause %s for %.1f s", name, seconds)
        self.done[f"pause {name}"] += 1
        await self.stack.kill(name, signal.SIGSTOP)
        self._later(self._wake(name, seconds))

    async def _wake(self, name: str, seconds: float) -> None:
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
        receiver = self.dice.choice(self.receivers)
        self.done["receiver down"] += 1
        receiver.down = True
        self._later(self._up(receiver, self.dice.uniform(2.0, 8.0)))

    async def _up(self, receiver: Receiver, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            receiver.down = False

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waking.add(task)
        task.add_done_callback(self._woken)

    def _woken(self, task: asyncio.Task[None]) -> None:
        self._waking.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.failures.append(repr(error))

    def _services(self) -> list[str]:
        return [name for name, process in self.stack.processes.items() if process.kind == "service"]

    def _number(self, name: str) -> int:
        """Of a node of the broker."""
        return int(name.partition("-")[2] or 1)


def kind_of(name: str) -> str:
    """Of an instance of a service, or a node of the broker."""
    return name.partition("-")[0]
