"""Priority queue of jobs with a limit on running ones."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Generic, TypeVar

J = TypeVar("J")


class JobQueue(Generic[J]):
    """A queue that reads its limit on each use, so that it can change while jobs wait."""

    def __init__(self, work: Callable[[J], Awaitable[None]], limit: Callable[[], int]) -> None:
        self._work = work
        self._limit = limit
        self._arrivals = count()
        self._waiting: list[tuple[float, int, J]] = []
        self._tasks: dict[asyncio.Task[None], J] = {}

    @property
    def waiting(self) -> list[J]:
        """Waiting jobs in heap order, as ComfyUI lists them."""
        return [job for _, _, job in self._waiting]

    @property
    def running(self) -> list[J]:
        return list(self._tasks.values())

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job: J, number: float = 0) -> int:
        """Add a job and return its arrival number. Jobs with lower numbers run first."""
        arrival = next(self._arrivals)
        heapq.heappush(self._waiting, (number, arrival, job))
        self.fill()
        return arrival

    def position(self, arrival: int) -> int:
        """Return the number of jobs ahead of an arrival, if all jobs have the same number."""
        return max(0, arrival - self._waiting[0][1]) if self._waiting else 0

    def remove(self, matches: Callable[[J], bool]) -> J | None:
        """Remove and return one matching queued job, or None."""
        for index, (_, _, job) in enumerate(self._waiting):
            if matches(job):
                self._waiting.pop(index)
                heapq.heapify(self._waiting)
                return job
        return None

    def clear(self) -> list[J]:
        removed, self._waiting = self.waiting, []
        return removed

    def stop(self, job: J) -> bool:
        """Cancel the task of a running job; return True if there was one."""
        for task, candidate in self._tasks.items():
            if candidate is job:
                return task.cancel()
        return False

    def forget(self) -> None:
        """Drop all jobs at once, as at the kill of the process."""
        self.clear()
        for task in self._tasks:
            task.cancel()
        self._tasks = {}

    def fill(self) -> None:
        while self._waiting and len(self._tasks) < self._limit():
            _, _, job = heapq.heappop(self._waiting)
            task = asyncio.get_running_loop().create_task(self._run(job))
            self._tasks[task] = job
            task.add_done_callback(self._ended)

    async def _run(self, job: J) -> None:
        await self._work(job)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self.fill()
        if not task.cancelled():
            task.result()
