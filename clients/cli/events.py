"""Server-Sent Events as the notifier sends them; a lost connection goes on where it ended."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import monotonic

import httpx

from clients.cli.errors import Unreachable

PATIENCE_SECONDS = 60.0
"""Longest time of nothing but failures on a stream: enough for its server to be started again."""
PAUSE_SECONDS = 1.0
SILENCE_SECONDS = 45.0
"""Three of the server's heartbeats."""


@dataclass(frozen=True)
class ServerEvent:
    """One event; `id` is what to say when coming back."""

    kind: str
    data: str
    id: str | None


async def parse(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """The events in a body. An event that its body's end cuts off is none."""
    kind, data, last_id = "message", list[str](), None
    async for line in _lines(chunks):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if not line:
                if data:
                    yield ServerEvent(kind, "\n".join(data), last_id)
                kind, data = "message", []
            case "event":
                kind = value
            case "data":
                data.append(value)
            case "id" if "\0" not in value:
                last_id = value


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Only line feeds end a line: JSON may hold the other separators that `splitlines` knows."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


class EventStream:
    """Reads one stream of the notifier. `opened` is set once it listens."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.opened = asyncio.Event()
        self._http = http
        self._url = url
        self._pause_seconds = pause_seconds
        self._patience_seconds = patience_seconds
        self._last_id: str | None = None

    async def read(self) -> AsyncGenerator[ServerEvent, None]:
        """Every event until the server says that there are no more.

        Raises:
            Unreachable: when its server stays away.
        """
        silent_since = monotonic()
        while True:
            try:
                async with self._connect() as answer:
                    if answer.status_code == 204:
                        return
                    answer.raise_for_status()
                    self.opened.set()
                    silent_since = monotonic()
                    async for event in parse(answer.aiter_raw()):
                        silent_since = monotonic()
                        self._last_id = event.id
                        yield event
            except httpx.HTTPError as error:
                if monotonic() - silent_since > self._patience_seconds:
                    raise Unreachable("notifier", self._url, type(error).__name__) from None
            await asyncio.sleep(self._pause_seconds)

    def _connect(self) -> AbstractAsyncContextManager[httpx.Response]:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=5.0)
        return self._http.stream("GET", self._url, headers=headers, timeout=timeout)
