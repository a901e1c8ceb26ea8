"""An event loop in which nobody waits: with nothing else left to do, its clock jumps to the next timer."""

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

TURN = 0.0001
"""A turn of the loop that has something to do takes so long, whatever it takes on this machine."""
GRACE, MOST_GRACE = 0.01, 0.05
"""Before a jump over 0.1 s or more, what is on its way through a socket gets this part of it for real."""


class _Selector(selectors.DefaultSelector):
    """Keeps the time: it passes where the loop would wait, and nowhere else."""

    now = 0.0
    threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            self.now += TURN
            return super().select(timeout)
        if self.threads:
            return self._wait(timeout)
        grace = min(timeout * GRACE, MOST_GRACE)
        if ready := super().select(grace if grace >= 0.001 else 0):
            return ready
        self.now += timeout
        return []

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        started = time.monotonic()
        ready = super().select(timeout)
        self.now += time.monotonic() - started
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """Sleeping takes no time; timers keep their order and distance, however slow the machine.

    A thread is waited for on the real clock: this loop cannot know what it is about to bring.
    """

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._clock.threads += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: asyncio.Future[T]) -> None:
        self._clock.threads -= 1
