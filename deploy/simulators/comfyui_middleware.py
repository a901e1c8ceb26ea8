"""Middleware of a ComfyUI server: cross-site protection and the limit on bodies."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES: Final = 100 * 1024 * 1024
"""The server's `--max-upload-size`, which applies to every body."""
CONTROL_PATHS: Final = "/_sim"


class RequestGuard:
    """Answers 403 and 413 as the real server does, and adds the charset to JSON responses."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(CONTROL_PATHS):
            return await self._app(scope, receive, send)
        if is_foreign(Headers(scope=scope)):
            return await Response(status_code=403)(scope, receive, send)
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        return await self._with_limit(scope, receive, send)

    async def _with_limit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body before the route does; a body above the limit is read and discarded."""
        body, size, more = [], 0, scope["method"] in ("POST", "PUT")
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += len(message.get("body", b""))
            body.append(message.get("body", b"") if size <= self._max_bytes else b"")
            more = message.get("more_body", False)
        if size > self._max_bytes:
            text = f"Maximum request body size {self._max_bytes} exceeded, actual body size {size}"
            return await PlainTextResponse(text, 413)(scope, receive, send)
        whole: list[Message] = [{"type": "http.request", "body": b"".join(body), "more_body": False}]

        async def replay_body() -> Message:
            return whole.pop() if whole else await receive()

        async def with_charset(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type") == "application/json":
                    headers["content-type"] = "application/json; charset=utf-8"
            await send(message)

        return await self._app(scope, replay_body, with_charset)


def is_foreign(headers: Headers) -> bool:
    """Return True for a request from another site's page: its `Origin` differs from a loopback `Host`."""
    if headers.get("sec-fetch-site") == "cross-site":
        return True
    host, origin = headers.get("host"), headers.get("origin")
    if host is None or origin is None:
        return False
    host_url, origin_url = urlsplit(f"//{host.lower()}"), urlsplit(origin.lower())
    if not _is_loopback(host_url.hostname):
        return False
    own_address: str | None = host_url.netloc
    origin_address: str | None = origin_url.netloc
    if origin_url.port is None:
        own_address = host_url.hostname
    if host_url.port is None:
        origin_address = origin_url.hostname
    return bool(own_address and origin_address) and own_address != origin_address


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
