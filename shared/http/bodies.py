"""Rules for request bodies: JSON only, bounded in size, and large ones are read beside the event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.json_text import loads
from shared.http.problems import problem

BODY_BYTES: Final = 2 * 1024 * 1024
SMALL_BODY_BYTES: Final = 16 * 1024
"""Up to here a body is read on the event loop: it takes less time than a thread costs."""
MAX_CONTAINERS: Final = 50_000
"""Most lists and objects in a body, and most fields. Brackets and colons are counted, in texts too; a
message may hold 100 000 values in all. More would keep the parser from releasing Python's global lock
for a noticeable time."""
POOL_THREADS: Final = 2
"""Threads for large bodies. Each busy one delays the event loop by up to 5 ms (`sys.getswitchinterval`)."""

P = ParamSpec("P")
T = TypeVar("T")
_workers = ThreadPoolExecutor(POOL_THREADS, "large-body")
_is_large: ContextVar[bool] = ContextVar("is_large", default=False)
COMPRESSED = "Body must not be compressed: Content-Encoding is {given}"
NOT_JSON = "Content-Type must be application/json, got {given}"


class BodyRules:
    """ASGI middleware that answers 413 to large bodies, and 415 to bodies that are compressed or not JSON.

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
        elif (coding := headers.get("content-encoding", "identity").strip().lower()) != "identity":
            await problem(415, COMPRESSED.format(given=coding[:100]))(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        seen = containers = fields = 0

        async def counted() -> Message:
            nonlocal seen, containers, fields
            message = await receive()
            piece = message.get("body", b"")
            seen += len(piece)
            containers += piece.count(b"[") + piece.count(b"{")
            fields += piece.count(b":")
            if seen > self._max_bytes:
                raise HTTPException(413)
            if containers > MAX_CONTAINERS:
                raise HTTPException(413, f"Body has more than {MAX_CONTAINERS} lists and objects.")
            if fields > MAX_CONTAINERS:
                raise HTTPException(413, f"Body has more than {MAX_CONTAINERS} fields.")
            return message

        return counted


def _is_json(headers: Headers) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def is_large_request() -> bool:
    """Return whether the body of the request that is being handled is a large one."""
    return _is_large.get()


async def offload(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work of a request whose duration grows with its body: in a thread when the body is large."""
    if not is_large_request():
        return work(*args, **kwargs)
    return await run_in_pool(work, *args, **kwargs)


async def run_in_pool(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in one of the threads for large bodies."""
    context = copy_context()
    in_context = lambda: context.run(work, *args, **kwargs)  # noqa: E731 - a partial loses the types
    return await asyncio.get_running_loop().run_in_executor(_workers, in_context)


class BodyField(Protocol):
    """The part of FastAPI's model field that reads a body."""

    def validate(
        self, value: Any, values: dict[str, Any], /, *, loc: tuple[int | str, ...]
    ) -> tuple[Any, list[dict[str, Any]]]:
        """Return the model and no errors, or None and the errors."""


class JsonRequest(Request):
    """A request in whose body numbers may be of any length. A large body is read and checked in a thread.

    Args:
        field: the model of the body.
    """

    def __init__(self, scope: Scope, receive: Receive, field: BodyField | None) -> None:
        super().__init__(scope, receive)
        self._field = field
        self._given: Any = None
        self._errors: list[Any] = []

    async def json(self) -> Any:
        """Parse the body, once. Of a large body this is the checked model, or None when it is refused."""
        if not hasattr(self, "_parsed"):
            body = await self.body()
            if len(body) <= SMALL_BODY_BYTES or self._field is None:
                self._parsed = loads(body)
            else:
                _is_large.set(True)
                self._parsed = await offload(self._checked, body, self._field)
        return self._parsed

    def _checked(self, body: bytes, field: BodyField) -> Any:
        self._given = loads(body)
        model, self._errors = field.validate(self._given, {}, loc=("body",))
        return model

    def refusal(self, error: RequestValidationError) -> RequestValidationError:
        """Return FastAPI's error; where a large body was refused, with the reasons for that."""
        if not self._errors:
            return error
        others = [each for each in error.errors() if each["loc"][0] != "body"]
        return RequestValidationError([*others, *self._errors], body=self._given)


class JsonRoute(APIRoute):
    """A route that reads its body as a `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            large = _is_large.set(False)
            read = JsonRequest(request.scope, request.receive, self.body_field)
            try:
                return await handle(read)
            except RequestValidationError as error:
                raise read.refusal(error) from None
            finally:
                _is_large.reset(large)

        return handle_json
