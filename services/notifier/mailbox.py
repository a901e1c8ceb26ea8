"""Events that wait for a connection, bounded: a slow reader loses snapshots, never its place."""

import asyncio
from enum import Enum

from contracts.jobs import JobEvent

MOST = 256


class Signal(Enum):
    """Answer of a mailbox instead of an event."""

    IDLE = "nothing came for a while"
    BEHIND = "events are missing; the documents have them"
    CLOSED = "this process ends"


class Mailbox:
    """The events of one connection."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._events: list[JobEvent] = []
        self._behind = False
        self._closed = False
        self._news = asyncio.Event()

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
        self._news.set()

    def fall_behind(self) -> None:
        """Say that events are missing, before anything else."""
        self._events.clear()
        self._behind = True
        self._news.set()

    def close(self) -> None:
        """Let the connection end."""
        self._closed = True
        self._news.set()

    async def next(self, seconds: float) -> JobEvent | Signal:
        """Return the next event or signal, after at most so many seconds."""
        if not self._ready():
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
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
