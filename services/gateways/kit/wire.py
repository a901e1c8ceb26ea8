"""Meaning of HTTP answers and errors, for a paid submission and for a question about one."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from contracts.scalars import LARGEST_SEED
from services.gateways.kit.crash_points import crash_point
from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected, StatusUnavailable
from services.gateways.kit.pruning import Pruner
from shared import url_credentials
from shared.clock import now
from shared.http.retry_after import retry_after

MAX_ANSWER_BYTES = 4 * 1024 * 1024
EXCERPT_BYTES = 1200
FRAMING = {"content-encoding", "content-length", "transfer-encoding"}
QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")

log = structlog.get_logger()


class AnswerTooLarge(Exception):
    """The kept part of an answer exceeds the limit."""


def excerpt(answer: httpx.Response) -> str:
    """Return the beginning of an answer on one line, without credentials and queries of links."""
    text = answer.content[:EXCERPT_BYTES].decode(errors="replace")  # whatever its header says
    return redacted(" ".join(text[:300].split()))


async def send_paid(
    http: httpx.AsyncClient,
    url: str,
    *,
    acceptance_header: str = "",
    reason_in: Callable[[httpx.Response], str] = excerpt,
    depth: int | None = None,
    **request: Any,
) -> httpx.Response:
    """POST a submission once; return the answer if its status is below 300.

    Args:
        depth: see `ask`.
        acceptance_header: a header of answers from behind the provider's front end: with it, even 429 or
            503 may mean that the request was accepted.
        reason_in: returns the reason of a rejection, for providers whose reason is not at the beginning.

    Raises:
        NotAccepted: no connection was made, or the provider's front end answered 429 or 503.
        Rejected: another 4xx: the request is wrong for this provider, or our credentials are refused.
        OutcomeUnknown: it was sent, and the response does not show whether it was accepted: lost, timed
            out, redirected, or 5xx.
    """
    try:
        answer = await _read(http, "POST", url, request, paid=True, depth=depth)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        log.warning("provider_unreachable", url=redacted(url), error=redacted(str(error)))
        raise NotAccepted("provider_unreachable", f"no connection ({type(error).__name__})") from error
    except (httpx.HTTPError, AnswerTooLarge, TimeoutError) as error:
        raise OutcomeUnknown(f"{type(error).__name__}: {redacted(str(error))}") from error
    status = answer.status_code
    if status in (429, 503) and acceptance_header not in answer.headers:
        raise NotAccepted(
            "provider_busy", f"{status} {excerpt(answer)}", after_seconds=requested_pause(answer)
        )
    if status in (401, 403):
        reason = f"{status} {excerpt(answer)}: check the credentials"
        raise Rejected("provider_unauthorized", reason, status=status)
    if 400 <= status < 500 and status not in (408, 429):
        raise Rejected("invalid_request", f"{status} {redacted(reason_in(answer))}", status=status)
    if status >= 300:
        raise OutcomeUnknown(f"{status} {excerpt(answer)}", status)
    return answer


async def ask(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    errors_are_results: bool = False,
    max_bytes: int = MAX_ANSWER_BYTES,
    depth: int | None = None,
    **request: Any,
) -> httpx.Response:
    """Ask about a submission; return any answer that is about the submission.

    Args:
        errors_are_results: a 5xx is an answer: the result failed, not the provider.
        max_bytes: limit for the kept part of the answer.
        depth: levels of the JSON answer that are kept (see `Pruner`); None keeps all.

    Raises:
        StatusUnavailable: the provider is away, limits our rate, fails or redirects: ask again later.
    """
    try:
        answer = await _read(http, method, url, request, max_bytes=max_bytes, depth=depth)
    except (httpx.HTTPError, AnswerTooLarge, TimeoutError) as error:
        raise StatusUnavailable(
            f"{urlsplit(url).path}: {type(error).__name__}: {redacted(str(error))}"
        ) from error
    status = answer.status_code
    if 300 <= status < 400 or status in (401, 403, 408, 429) or (status >= 500 and not errors_are_results):
        raise StatusUnavailable(f"{urlsplit(url).path}: {status} {excerpt(answer)}", status)
    return answer


async def _read(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    request: dict[str, Any],
    *,
    paid: bool = False,
    max_bytes: int = MAX_ANSWER_BYTES,
    depth: int | None = None,
) -> httpx.Response:
    """Read an answer in bounded memory and time: providers' answers are untrusted input.

    httpx bounds each silence; the rest of an answer may take no longer than its longest silence.
    """
    body = bytearray()
    keep = (lambda chunk: chunk) if depth is None else Pruner(depth).keep
    async with http.stream(method, url, **request) as answer, asyncio.timeout(http.timeout.read):
        if paid:
            crash_point("after_send")
        async for chunk in answer.aiter_bytes():
            body += keep(chunk)
            if len(body) > max_bytes:
                raise AnswerTooLarge(f"the answer exceeds the limit of {max_bytes} bytes")
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in FRAMING]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the answer as a JSON object.

    Raises:
        StatusUnavailable: it is not one.
    """
    try:
        body = json.loads(answer.content.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError) as error:
        raise StatusUnavailable(f"{answer.url.path}: no JSON: {excerpt(answer)}") from error
    if not isinstance(body, dict):
        raise StatusUnavailable(f"{answer.url.path}: not an object: {excerpt(answer)}")
    return body


def seed_in(value: object) -> int | None:
    """Return the seed that a provider reports, None when it is no whole number from 0 to 2^64-1."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEED:
        return value
    return None


def requested_pause(answer: httpx.Response) -> float | None:
    """Return the seconds that the provider asks us to wait, at most an hour."""
    seconds = retry_after(answer.headers.get_list("Retry-After"), now())
    return None if seconds is None else min(3600.0, seconds)


def redacted(text: str) -> str:
    """Return the text without credentials and queries of links."""
    return QUERY.sub(r"\1?…", url_credentials.redacted(text))
