"""Load generation: a fixed number of open jobs, one job at a time, or a steady rate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bench.contestants.contestant import Contestant
from shared.ids import uuid7

PATIENCE_SECONDS: Final = 120.0
"""Maximum seconds of a job of any contestant."""


@dataclass
class Measured:
    """Results of the submitted jobs."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    notifications: int = 0
    """Number of jobs with a notification."""
    repeated: int = 0
    """Number of duplicate notifications. They are allowed, as they have the same id, but cost work."""

    @property
    def jobs(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        return self.jobs / self.seconds if self.seconds else 0.0


Work = Callable[[Measured], Coroutine[Any, Any, None]]


class Load:
    """Submits jobs of one tenant to a contestant and receives their notifications."""

    def __init__(self, contestant: Contestant, tenant: str) -> None:
        self._contestant = contestant
        self._tenant = tenant
        self._open: dict[str, asyncio.Future[float]] = {}
        self._known: set[str] = set()
        self._notified = 0
        self._repeated = 0
        self._listening: asyncio.Task[None]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Load"]:
        """Receive notifications inside the block."""
        ready = asyncio.Event()
        task = self._listening = asyncio.create_task(self._contestant.listen(self._finished, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def closed(self, seconds: float, open_jobs: int) -> Measured:
        """Keep a fixed number of jobs open: another follows each finished job until the time is over."""
        end = time.perf_counter() + seconds

        async def one_after_the_other(measured: Measured) -> None:
            while time.perf_counter() < end:
                measured.latencies.append(await self._one())

        return await self._measure(*[one_after_the_other] * open_jobs)

    async def one_at_a_time(self, jobs: int) -> Measured:
        """Run jobs in sequence, so that no job waits for another."""

        async def all_of_them(measured: Measured) -> None:
            for _ in range(jobs):
                measured.latencies.append(await self._one())

        return await self._measure(all_of_them)

    async def steady(self, per_second: float, seconds: float) -> Measured:
        """Submit at a fixed rate, independent of the jobs' duration (no coordinated omission)."""
        start = time.perf_counter()

        async def at(measured: Measured, number: int) -> None:
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            measured.latencies.append(await self._one(requested_at=due))

        def numbered(number: int) -> Work:
            return lambda measured: at(measured, number)

        jobs = max(1, round(per_second * seconds))
        return await self._measure(*(numbered(number) for number in range(jobs)))

    async def _measure(self, *workers: Work) -> Measured:
        measured, start = Measured(), time.perf_counter()
        notified, repeated = self._notified, self._repeated
        work = asyncio.ensure_future(_all(each(measured) for each in workers))
        await asyncio.wait([work, self._listening], return_when=asyncio.FIRST_COMPLETED)
        if self._listening.done():
            work.cancel()
            self._listening.result()
        await work
        measured.seconds = time.perf_counter() - start
        measured.notifications = self._notified - notified
        measured.repeated = self._repeated - repeated
        return measured

    async def _one(self, requested_at: float | None = None) -> float:
        job_id = uuid7()
        self._known.add(job_id)
        future = self._open[job_id] = asyncio.get_running_loop().create_future()
        start = requested_at or time.perf_counter()
        await self._contestant.submit(job_id, self._tenant)
        ended: float = await asyncio.wait_for(future, PATIENCE_SECONDS)
        return ended - start

    def _finished(self, job_id: str) -> None:
        if future := self._open.pop(job_id, None):
            self._notified += 1
            if not future.done():
                future.set_result(time.perf_counter())
        elif job_id in self._known:
            self._repeated += 1


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*work)
