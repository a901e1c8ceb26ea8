"""The HTTP surface from the first second: health and metrics always, the application once it is ready."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.errors import StartupError
from shared.http.problems import RETRY_AFTER_SECONDS, problem
from shared.settings import ProcessSettings

KEEP_ALIVE_SECONDS = 80
"""How long an idle connection stays open: longer than load balancers keep theirs (60 to 75 s), so that
none sends a request into a connection that this process is closing."""
BACKLOG = 2048


class Front:
    """Passes requests on to one of two applications.

    Args:
        health: answers `/health/…` and `/metrics`.
        application: answers everything else after `open`.
        waiting: says what the process waits for until then.
    """

    def __init__(self, health: ASGIApp, application: ASGIApp, waiting: Callable[[], str]) -> None:
        self._health = health
        self._application = application
        self._waiting = waiting
        self._open = False

    def open(self) -> None:
        """Let requests through."""
        self._open = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == "/metrics" or path.startswith("/health/"):
            await self._health(scope, receive, send)
        elif self._open:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
        else:
            detail = f"Service is starting: {self._waiting()}; retry after {RETRY_AFTER_SECONDS} s."
            answer = problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
            await answer(scope, receive, send)


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when it ends."""

    def __init__(self, app: ASGIApp, settings: ProcessSettings, graceful_seconds: float) -> None:
        self._address = settings.http_host, settings.http_port
        self._serving: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
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
        """Begin to serve; returns the address.

        Raises:
            StartupError: when the address cannot be listened on.
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
        """Return when it has ended."""
        if self._serving is not None:
            await self._serving

    async def stop(self) -> None:
        """Finish the requests in hand and end."""
        self.should_exit = True
        with suppress(asyncio.CancelledError):
            await self.served()
