"""Parts of a request beside its body: caller, trace, idempotency key."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from contracts.scalars import TextPattern
from services.api.callers import CallerHeaders
from services.api.domain import Caller
from shared.observability.tracing import start_span, traceparent

IdempotencyKey = Annotated[
    Annotated[str, TextPattern(r"^[\x20-\x7e]{1,255}$", "printable ASCII of 1 to 255 characters")] | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body again give the same job; unique per tenant.",
    ),
]
TraceParent = Annotated[
    str | None,
    Header(alias="traceparent", include_in_schema=False),
]


async def _trace(request: Request, header: TraceParent = None) -> str | None:
    """Return the trace to continue: the caller's, or a new one."""
    span = start_span("accept", header, {})
    span.end()
    request.state.traceparent = traceparent(span)
    return traceparent(span)


Trace = Annotated[str | None, Depends(_trace)]


@dataclass(frozen=True, slots=True)
class Context:
    """Parts of a request beside its body, and its response's headers."""

    response: Response
    caller: Caller
    trace: str | None
    key: str | None


async def _context(
    response: Response, caller: CallerHeaders, trace: Trace, key: IdempotencyKey = None
) -> Context:
    """Return the context. Async, because FastAPI runs other dependencies in a thread each."""
    return Context(response, caller, trace, key)


RequestContext = Annotated[Context, Depends(_context)]
