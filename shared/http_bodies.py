"""Rules for request bodies: JSON only, and not too large. Violations are answered with a problem."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.problems import problem

BODY_BYTES = 2 * 1024 * 1024
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
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise HTTPException(413)
            return message

        return counted


def _is_json(headers: Headers) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
