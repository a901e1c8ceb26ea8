"""An event loop in which nobody waits: with nothing else left to do, its clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

FAR = 0.02
"""A jump over more than this could overtake what a socket of this process is about to bring."""
GRACE = 0.002
"""So that gets this much time, on the real clock."""


class _Selector(selectors.DefaultSelector):
    """Leaves out the waiting, and says how much it has left out."""

    skipped = 0.0
    threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or self.threads:
            return super().select(timeout)
        if ready := super().select(GRACE if timeout > FAR else 0):
            return ready
        self.skipped += timeout
        return []


class SkippingLoop(asyncio.SelectorEventLoop):
    """Work takes the time that it takes, sleeping takes none; timers keep their order and distance.

    A thread is waited for on the real clock: this loop cannot know what it is about to bring.
    """

    def __init__(self) -> None:
        self._leaping = _Selector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return super().time() + self._leaping.skipped

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._leaping.threads += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: asyncio.Future[T]) -> None:
        self._leaping.threads -= 1
