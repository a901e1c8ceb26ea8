"""A stream of events as an HTTP response: missed events first, then new ones as they happen."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from contracts.jobs import JobEvent
from services.notifier.sse import HEARTBEAT, RETRY
from services.notifier.subscriber_queue import Signal, SubscriberQueue
from shared.http.problems import Refusal
from shared.transient import is_transient

log = structlog.get_logger()

HEARTBEAT_SECONDS = 15.0
STREAM_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""Proxies must neither compress nor buffer a stream: either holds events back until it ends."""


class Stream(Protocol):
    """Position of one stream. `behind`: events are known to be missing."""

    ended: bool

    @property
    def behind(self) -> bool: ...

    async def catch_up(self) -> list[bytes]: ...

    async def live(self, event: JobEvent) -> list[bytes]: ...


async def follow(
    stream: Stream, queue: SubscriberQueue, first: list[bytes], heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Yield the frames of a stream until it ends, the client disconnects, or this process stops."""
    try:
        yield RETRY
        for frame in first:
            yield frame
        while not stream.ended:
            got = await queue.next(heartbeat_seconds)
            if got is Signal.CLOSED:
                return
            for frame in await next_frames(stream, got):
                yield frame
    except Exception as error:
        # The client reconnects with its last id and resumes from there.
        if not (is_transient(error) or isinstance(error, Refusal)):
            raise
        log.warning("stream_interrupted", error=f"{type(error).__name__}: {error}")


async def next_frames(stream: Stream, got: JobEvent | Signal) -> list[bytes]:
    """Return the frames that one event or signal adds to a stream."""
    if isinstance(got, JobEvent):
        return await stream.live(got)
    if got is Signal.BEHIND or stream.behind:
        return await stream.catch_up() or [HEARTBEAT]
    return [HEARTBEAT]


class EventStream(StreamingResponse):
    """Server-Sent Events; calls `leave` at the end of the connection, also after an error."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None], leave: Callable[[], None]) -> None:
        super().__init__(frames, headers=STREAM_HEADERS)
        self._frames = frames
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._frames):
                await super().__call__(scope, receive, send)
        finally:
            self._leave()
