"""The HTTP surface from the first second: health and metrics always, the application once it is ready."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.errors import StartupError
from shared.http.operations import is_operational
from shared.http.problems import RETRY_AFTER_SECONDS, problem
from shared.settings import ProcessSettings

KEEP_ALIVE_SECONDS = 80
"""Seconds that an idle connection stays open. Load balancers keep theirs for 60 to 75 s: theirs must be
closed first, or a request may arrive at a connection that is being closed."""
BACKLOG = 2048
READ_BYTES = 8 * 1024
"""Most that is parsed of one connection at a time."""


class Front:
    """Passes requests on to one of two applications.

    Args:
        operations: answers the paths of `is_operational`, always.
        application: answers everything else after `open`.
        waiting: returns the servers that the process waits for until then.
    """

    def __init__(self, operations: ASGIApp, application: ASGIApp, waiting: Callable[[], str]) -> None:
        self._operations = operations
        self._application = application
        self._waiting = waiting
        self._open = False

    def open(self) -> None:
        """Let requests through."""
        self._open = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_operational(scope.get("path", "")):
            await self._operations(scope, receive, send)
        elif self._open:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
        else:
            detail = f"Service is starting: {self._waiting()}; retry after {RETRY_AFTER_SECONDS} s."
            answer = problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
            await answer(scope, receive, send)


class SmallReads(asyncio.BufferedProtocol):
    """HTTP/1.1 that parses little of a connection at a time: other work comes between two pieces.

    A read holds up to 256 KiB otherwise, and a body in chunks of one byte costs half a second of parsing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._http = H11Protocol(*args, **kwargs)
        self._piece = bytearray(READ_BYTES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.connection_made(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        self._http.data_received(bytes(memoryview(self._piece)[:nbytes]))
        if nbytes == READ_BYTES and self._reads():
            self._http.transport.pause_reading()  # libuv would read on at once
            self._http.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._reads():
            self._http.transport.resume_reading()

    def _reads(self) -> bool:
        return not self._http.flow.read_paused and not self._http.transport.is_closing()


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when it ends."""

    def __init__(self, app: ASGIApp, settings: ProcessSettings, graceful_seconds: float) -> None:
        self._address = settings.http_host, settings.http_port
        self._serving: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                http=cast(type[asyncio.Protocol], SmallReads),
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(graceful_seconds),
            )
        )

    def capture_signals(self) -> Any:
        return nullcontext()

    async def listen(self) -> str:
        """Start to serve and return the address.

        Raises:
            StartupError: if the address is not available.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise StartupError(f"cannot listen on {host}:{port} (HTTP_HOST, HTTP_PORT): {error}") from error
        self._serving = asyncio.create_task(self.serve(sockets=[listener]))
        while not self.started and not self._serving.done():
            await asyncio.sleep(0.005)
        bound, number, *_ = listener.getsockname()
        return f"{bound}:{number}"

    async def served(self) -> None:
        """Wait until the server has ended."""
        if self._serving is not None:
            await self._serving

    async def stop(self) -> None:
        """Finish open requests and end."""
        self.should_exit = True
        with suppress(asyncio.CancelledError):
            await self.served()
