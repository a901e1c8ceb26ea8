"""Background work of a process: it runs from start to stop, and nothing of it ends unnoticed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from shared.loops import Loops, current, every
from shared.observability.event_loop import watch_event_loop
from shared.observability.health import Health
from shared.shutdown import cancel_all

EXAMINE_SECONDS = 1.0
"""Interval at which the watchdog looks at background loops."""

Work = Callable[[], Awaitable[None]]


class Background:
    """The work by name, and the state of all loops (`shared.loops.every`) in it.

    Args:
        vital: whether the process is not ready while one of the loops is stuck.
    """

    def __init__(self, service: str, health: Health, *, vital: bool) -> None:
        self._loops = Loops(service)
        self._examined: list[Callable[[], None]] = [self._loops.examine]
        self._tasks: list[asyncio.Task[None]] = []
        self._work: list[tuple[str, Work]] = [
            ("event loop", partial(watch_event_loop, service)),
            ("watchdog", partial(every, EXAMINE_SECONDS, self._examine, name="watchdog")),
        ]
        health.add("loops", self._vital_problem, vital=vital)
        health.add("optional loops", self._optional_problem, vital=False)

    def add(self, name: str, work: Work) -> None:
        """Run `work` from start to stop. Its failure, or its end, stops the process."""
        self._work.append((name, work))

    def examine(self, check: Callable[[], None]) -> None:
        """Call `check` whenever the watchdog looks at the loops."""
        self._examined.append(check)

    def enter(self) -> None:
        """Let the loops that the current task starts report to this process."""
        current.set(self._loops)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start everything in this group."""
        self._tasks = [group.create_task(_endless(name, work)) for name, work in self._work]

    async def stop(self, seconds: float) -> None:
        """Cancel everything, and wait until it has ended."""
        await cancel_all(self._tasks, seconds)

    async def _examine(self) -> None:
        for check in self._examined:
            check()

    async def _vital_problem(self) -> str | None:
        return self._loops.problems()

    async def _optional_problem(self) -> str | None:
        return self._loops.problems(vital=False)


async def _endless(name: str, work: Work) -> None:
    with suppress(asyncio.CancelledError):
        await work()
        raise RuntimeError(f"background loop {name} has ended by itself")
