"""Watch the event loop: a coroutine reports pauses that are over, a thread reports one that lasts."""

import asyncio
import sys
import threading
import time
import traceback

import structlog

from shared.observability import metrics

log = structlog.get_logger()

TICK_SECONDS = 0.05
BLOCKED_SECONDS = 0.25
"""A longer pause of the event loop is reported when it is over."""
LASTING_SECONDS = 5.0
"""A longer pause is reported while it lasts."""
_STACK_FRAMES = 25


async def watch_event_loop(service: str, lasting: float = LASTING_SECONDS) -> None:
    """Report everything that blocks the event loop: nothing else in this process runs meanwhile."""
    blocked = metrics.event_loop_blocked.labels(service)
    watchdog = Watchdog(threading.get_ident(), lasting)
    watchdog.start()
    clock = asyncio.get_running_loop().time
    try:
        while True:
            watchdog.beat()
            due = clock() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = clock() - due
            if late > BLOCKED_SECONDS - TICK_SECONDS:
                blocked.inc(late)
                log.warning("event_loop_blocked", seconds=round(late, 3))
    finally:
        watchdog.stop()


class Watchdog:
    """A thread that logs the stack of the event loop's thread when its heartbeat is missing.

    Args:
        watched: identifier of the event loop's thread.
        lasting: seconds without a heartbeat before it is logged, once for each pause.
    """

    def __init__(self, watched: int, lasting: float) -> None:
        self._watched = watched
        self._lasting = lasting
        self._beat = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="event loop watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is not waited for."""
        self._stopped.set()

    def beat(self) -> None:
        """Note that the event loop runs."""
        self._beat = time.monotonic()

    def _watch(self) -> None:
        reported = 0.0
        while not self._stopped.wait(self._lasting / 5):
            beat = self._beat
            seconds = time.monotonic() - beat
            if seconds > self._lasting and beat != reported:
                reported = beat
                log.error("event_loop_still_blocked", seconds=round(seconds, 1), stack=self._stack())

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._watched)
        return "".join(traceback.format_stack(frame)[-_STACK_FRAMES:]) if frame else "unknown"
