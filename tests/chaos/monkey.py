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
from tests.chaos.receiver import Receiver

log = logging.getLogger("chaos")


@dataclass(frozen=True)
class Temper:
    """How bad it is. Seconds between deeds, and what share of them is what."""

    pause: tuple[float, float] = (1.5, 4.0)
    deeds: tuple[tuple[str, int], ...] = (
        ("kill_service", 62),
        ("kill_server", 10),
        ("kill_broker", 5),
        ("pause", 14),
        ("cut", 8),
        ("receiver_down", 6),
    )
    pauses_seconds: tuple[float, float] = (0.5, 14.0)
    """Longer than a lease: whoever wakes up was declared dead."""
    servers: tuple[str, ...] = ("mongo", "s3")
    """Those that keep what they were given on disk. So does Apache Kafka, not the embedded broker."""
    broker_away_seconds: tuple[float, float] = (0.5, 8.0)


@dataclass
class Monkey:
    """One run of it. `done` is what it did, by deed and process."""

    stack: Stack
    receivers: Sequence[Receiver]
    dice: Random
    temper: Temper = field(default_factory=Temper)
    done: Counter[str] = field(default_factory=Counter)
    _away: set[int] = field(default_factory=set)
    _waking: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def kills(self) -> int:
        """How many processes were ended with -9."""
        return sum(count for deed, count in self.done.items() if deed.startswith("kill "))

    async def run(self) -> None:
        """Until cancelled; then everything that sleeps is woken."""
        names, weights = zip(*self.temper.deeds, strict=True)
        try:
            while True:
                await asyncio.sleep(self.dice.uniform(*self.temper.pause))
                (deed,) = self.dice.choices(names, weights)
                await getattr(self, f"_{deed}")()
        finally:
            for task in self._waking:
                task.cancel()
            await asyncio.gather(*self._waking, return_exceptions=True)

    async def _kill_service(self) -> None:
        await self._kill(self.dice.choice(self._of_kind("service")))

    async def _kill_server(self) -> None:
        await self._kill(self.dice.choice(self.temper.servers))

    async def _kill_broker(self) -> None:
        broker = self.stack.broker
        number = self.dice.randint(1, broker.nodes)
        if not broker.keeps_data or number in self._away:
            return
        log.info("kill -9 node %d of the broker", number)
        self.done[f"kill broker {number}"] += 1
        self._away.add(number)
        await broker.kill(number)
        self._later(self._bring_back(number, self.dice.uniform(*self.temper.broker_away_seconds)))

    async def _bring_back(self, number: int, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.stack.broker.start(number)
            self._away.discard(number)

    async def _kill(self, name: str) -> None:
        if not self.stack.processes[name].ready:
            return  # it is on its way back
        log.info("kill -9 %s", name)
        self.done[f"kill {name}"] += 1
        await self.stack.kill(name, signal.SIGKILL)

    async def _pause(self) -> None:
        name = self.dice.choice([*self._of_kind("service"), *self.temper.servers])
        seconds = self.dice.uniform(*self.temper.pauses_seconds)
        if not self.stack.processes[name].ready:
            return
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
        name = self.dice.choice(sorted(self.stack.proxies))
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
        task.add_done_callback(self._waking.discard)

    def _of_kind(self, kind: str) -> list[str]:
        return [name for name, process in self.stack.processes.items() if process.kind == kind]
