"""Jobs that wait, and those that run: at most so many at once, in order."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Generic, TypeVar

J = TypeVar("J")


class JobQueue(Generic[J]):
    """The limit is asked each time, so that it can be changed while jobs wait."""

    def __init__(self, work: Callable[[J], Awaitable[None]], limit: Callable[[], int]) -> None:
        self._work = work
        self._limit = limit
        self._arrivals = count()
        self._waiting: list[tuple[float, int, J]] = []
        self._tasks: dict[asyncio.Task[None], J] = {}

    @property
    def waiting(self) -> list[J]:
        """In heap order, as ComfyUI lists them."""
        return [job for _, _, job in self._waiting]

    @property
    def running(self) -> list[J]:
        return list(self._tasks.values())

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job: J, number: float = 0) -> int:
        """Lower numbers first; returns the place of arrival."""
        arrival = next(self._arrivals)
        heapq.heappush(self._waiting, (number, arrival, job))
        self.fill()
        return arrival

    def position(self, arrival: int) -> int:
        """Jobs before the one that arrived so, where all have the same number: 0 is next."""
        return max(0, arrival - self._waiting[0][1]) if self._waiting else 0

    def remove(self, wanted: Callable[[J], bool]) -> J | None:
        """Take one waiting job out of the line."""
        for index, (_, _, job) in enumerate(self._waiting):
            if wanted(job):
                self._waiting.pop(index)
                heapq.heapify(self._waiting)
                return job
        return None

    def clear(self) -> list[J]:
        removed, self._waiting = self.waiting, []
        return removed

    def stop(self, job: J) -> bool:
        """Cancel a running job's task."""
        for task, candidate in self._tasks.items():
            if candidate is job:
                return task.cancel()
        return False

    def forget(self) -> None:
        """Everything ends at once, as when the process is killed."""
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
