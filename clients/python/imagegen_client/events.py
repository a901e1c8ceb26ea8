"""Server-Sent Events of the notifier. A lost connection is resumed after the last event."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar, get_args

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError, aconnect_sse

from contracts.http import EventLinks, JobSnapshot
from contracts.jobs import EventKind, JobEvent
from imagegen_client.errors import reason_of
from imagegen_client.server import Server

E = TypeVar("E")

PATIENCE_SECONDS = 60.0
"""Longest time without a successful connection before a stream fails: a restart of the notifier fits in."""
PAUSE_SECONDS = 1.0
"""Time before a reconnect, until the notifier names another in the field `retry`."""
SILENCE_SECONDS = 45.0
"""Longest time without a byte: three of the notifier's heartbeats."""


class LinkedJobEvent(JobEvent):
    """An event of a job, with links to what it delivered."""

    links: EventLinks | None = None
    """In `image_ready`: a signed link that expires. `Client.results` has fresh ones."""


class EventStream(Generic[E]):
    """Events of one stream, each once and in order, across lost connections.

    Iterate over it, or over `read()` with `contextlib.aclosing` where the loop may end early.
    """

    def __init__(
        self,
        server: Server,
        path: str,
        decode: Callable[[ServerSentEvent], E | None],
        last_event_id: str | None = None,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.connected = asyncio.Event()
        """Set once the notifier has accepted the stream: no later event is missed."""
        self.last_event_id = last_event_id
        """Id of the last event that had one. A later stream can resume after it."""
        self._server = server
        self._path = path
        self._decode = decode
        self._pause_seconds = pause_seconds
        self._patience_seconds = patience_seconds

    def __aiter__(self) -> AsyncIterator[E]:
        return self.read()

    async def read(self) -> AsyncGenerator[E, None]:
        """Yield events until the notifier reports that there are no more.

        Raises:
            RequestRejected: when the notifier refuses the stream, for instance for an unknown job.
            ServerUnavailable: when no connection succeeded for 60 s.
        """
        failing_since: float | None = None
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with self._connect() as source:
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        return
                    await self._check(source.response)
                    failing_since = None
                    self.connected.set()
                    async for received in source.aiter_sse():
                        if (event := self._receive(received)) is not None:
                            yield event
            except httpx.HTTPError as error:
                failing_since = clock() if failing_since is None else failing_since
                if clock() - failing_since >= self._patience_seconds:
                    raise self._server.unavailable(reason_of(error)) from error
            await asyncio.sleep(self._pause_seconds)

    def _connect(self) -> AbstractAsyncContextManager[EventSource]:
        headers = {} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=5.0)
        return aconnect_sse(
            self._server.http, "GET", self._server.url + self._path, headers=headers, timeout=timeout
        )

    async def _check(self, response: httpx.Response) -> None:
        """Raise for a refused stream; errors that a reconnect may resolve are raised as httpx errors."""
        if response.is_client_error:
            await response.aread()
            raise self._server.rejected(response)
        response.raise_for_status()
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise SSEError("the answer is not an event stream")

    def _receive(self, received: ServerSentEvent) -> E | None:
        if received.retry is not None:
            self._pause_seconds = received.retry / 1000
        if received.id:
            self.last_event_id = received.id
        return self._decode(received) if received.data else None


def job_event(received: ServerSentEvent) -> LinkedJobEvent | None:
    """Return an event of a job; None for one of a kind that this version does not know."""
    if received.event in get_args(EventKind):
        return LinkedJobEvent.model_validate_json(received.data)
    return None


def user_event(received: ServerSentEvent) -> LinkedJobEvent | JobSnapshot | None:
    """Return an event of a user's stream, which also has snapshots of jobs; None for an unknown kind."""
    if received.event == "snapshot":
        return JobSnapshot.model_validate_json(received.data)
    return job_event(received)
