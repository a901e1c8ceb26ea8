"""Middleware of a ComfyUI server: its guard against foreign pages, and its limit on bodies."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 100 * 1024 * 1024
"""`--max-upload-size`, of every body."""
OWN_PATHS: Final = "/_sim"


class Door:
    """Answers 403 and 413 as the real server does, and names the charset of JSON."""

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BYTES) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(OWN_PATHS):
            return await self._app(scope, receive, send)
        if is_foreign(Headers(scope=scope)):
            return await Response(status_code=403)(scope, receive, send)
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        return await self._with_limit(scope, receive, send)

    async def _with_limit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body before the route does; a body above the limit is read and thrown away."""
        body, size, more = [], 0, scope["method"] in ("POST", "PUT")
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += len(message.get("body", b""))
            body.append(message.get("body", b"") if size <= self._most_bytes else b"")
            more = message.get("more_body", False)
        if size > self._most_bytes:
            text = f"Maximum request body size {self._most_bytes} exceeded, actual body size {size}"
            return await PlainTextResponse(text, 413)(scope, receive, send)
        whole: list[Message] = [{"type": "http.request", "body": b"".join(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        async def with_charset(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type") == "application/json":
                    headers["content-type"] = "application/json; charset=utf-8"
            await send(message)

        return await self._app(scope, again, with_charset)


def is_foreign(headers: Headers) -> bool:
    """Return whether a web page of another site sent this: its `Origin` is not the loopback `Host`."""
    if headers.get("sec-fetch-site") == "cross-site":
        return True
    host, origin = headers.get("host"), headers.get("origin")
    if host is None or origin is None:
        return False
    ours, theirs = urlsplit(f"//{host.lower()}"), urlsplit(origin.lower())
    if not _is_loopback(ours.hostname):
        return False
    one: str | None = ours.netloc
    other: str | None = theirs.netloc
    if theirs.port is None:
        one = ours.hostname
    if ours.port is None:
        other = theirs.hostname
    return bool(one and other) and one != other


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
