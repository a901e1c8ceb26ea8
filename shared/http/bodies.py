"""Rules for request bodies: JSON only, and not too large. Violations are answered with a problem."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.json_text import loads
from shared.http.problems import problem

BODY_BYTES = 2 * 1024 * 1024
MAX_CONTAINERS = 200_000
"""Lists and objects in a body. Their brackets are counted, in texts too: messages may hold half as many
values, and parsing more would block the event loop for a noticeable time."""
NOT_JSON = "Content-Type must be application/json, got {given}"


class BodyRules:
    """ASGI middleware that answers 413 to bodies over a limit and 415 to bodies that are not JSON.

    Args:
        max_bytes: the largest accepted body, announced or streamed.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await problem(413, f"Body is larger than {self._max_bytes} bytes.")(scope, receive, send)
        elif (announced != "0" or "transfer-encoding" in headers) and not _is_json(headers):
            given = headers.get("content-type") or "none"
            await problem(415, NOT_JSON.format(given=given[:100]))(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        seen = containers = 0

        async def counted() -> Message:
            nonlocal seen, containers
            message = await receive()
            piece = message.get("body", b"")
            seen += len(piece)
            containers += piece.count(b"[") + piece.count(b"{")
            if seen > self._max_bytes:
                raise HTTPException(413)
            if containers > MAX_CONTAINERS:
                raise HTTPException(413, f"Body has more than {MAX_CONTAINERS} lists and objects.")
            return message

        return counted


def _is_json(headers: Headers) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


class JsonRequest(Request):
    """A request in whose body numbers may be of any length."""

    async def json(self) -> Any:
        """Parse the body, once."""
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


class JsonRoute(APIRoute):
    """A route that reads its body as a `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json
