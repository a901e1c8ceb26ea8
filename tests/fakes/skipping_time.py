"""An event loop that skips time: when nothing is ready, its clock jumps to the next timer."""

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

TURN = 0.0001
"""Seconds of loop time for each iteration that has work, independent of the machine."""
GRACE, MOST_GRACE = 0.01, 0.05
"""Part of a jump of 0.1 s or more that is waited for real, for data in flight on sockets."""


class _Selector(selectors.DefaultSelector):
    """Selector with its own clock: time passes only where the loop would wait."""

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

    A thread is waited for on the real clock: the loop cannot know when it returns.
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
