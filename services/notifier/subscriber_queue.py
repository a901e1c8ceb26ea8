"""A bounded queue of events for one stream: a slow reader loses snapshots, never its position."""

import asyncio
from enum import Enum

from contracts.jobs import JobEvent

MAX_EVENTS = 256


class Signal(Enum):
    """Result of `next` instead of an event."""

    IDLE = "no event within the time limit"
    BEHIND = "events are missing; the documents have them"
    CLOSED = "this process stops"


class SubscriberQueue:
    """Events that one stream has not sent yet."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._most = max_events
        self._events: list[JobEvent] = []
        self._behind = False
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, event: JobEvent) -> None:
        """Add an event. A snapshot replaces the job's last one; when full, snapshots go first."""
        if event.event == "progressed":
            self._events = [other for other in self._events if not _replaces(event, other)]
        if len(self._events) >= self._most:
            self._events = [other for other in self._events if other.event != "progressed"]
        if len(self._events) < self._most:
            self._events.append(event)
        elif event.event != "progressed":
            self.fall_behind()
        self._changed.set()

    def fall_behind(self) -> None:
        """Report missing events before any later event."""
        self._events.clear()
        self._behind = True
        self._changed.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._changed.set()

    async def next(self, seconds: float) -> JobEvent | Signal:
        """Return the next event or signal; `IDLE` after that time without any."""
        if not self._ready():
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return Signal.IDLE
        if self._closed:
            return Signal.CLOSED
        if self._behind:
            self._behind = False
            return Signal.BEHIND
        return self._events.pop(0)

    def _ready(self) -> bool:
        return self._closed or self._behind or bool(self._events)


def _replaces(new: JobEvent, old: JobEvent) -> bool:
    return old.event == "progressed" and old.job_id == new.job_id
