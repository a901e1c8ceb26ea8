"""What HTTP answers and errors mean for a paid submission, and for a question about one."""

from typing import Any

import httpx

from services.gateways.runtime.provider import NoAnswer, NotTaken, OutcomeUnknown, Refused

MAX_ANSWER_BYTES = 4 * 1024 * 1024


async def send_paid(
    http: httpx.AsyncClient, url: str, *, mark_of_taken: str = "", **request: Any
) -> httpx.Response:
    """POST a submission once; returns the answer if its status is below 400.

    Args:
        mark_of_taken: a header that tells that an answer came from behind the provider's door, so
            that even 429 or 503 may mean that the request was taken.

    Raises:
        NotTaken: the connection was not made, or the provider's door says 429 or 503.
        Refused: another 4xx: the request is wrong for this provider, or we are not let in.
        OutcomeUnknown: it was sent, and what came back does not tell: lost, late, or 5xx.
    """
    try:
        answer = await http.post(url, **request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NotTaken("provider_unreachable", f"{url}: {error}") from error
    except httpx.HTTPError as error:
        raise OutcomeUnknown(f"{url}: {type(error).__name__}: {error}") from error
    status = answer.status_code
    if status in (429, 503) and mark_of_taken not in answer.headers:
        raise NotTaken("provider_busy", f"{status} {excerpt(answer)}", after_seconds=retry_after(answer))
    if status in (401, 403):
        raise Refused("provider_unauthorized", f"{status} {excerpt(answer)}: check the credentials")
    if 400 <= status < 500 and status not in (408, 429):
        raise Refused("invalid_request", f"{status} {excerpt(answer)}")
    if status >= 300:
        raise OutcomeUnknown(f"{status} {excerpt(answer)}", status)
    return answer


async def ask(http: httpx.AsyncClient, method: str, url: str, **request: Any) -> httpx.Response:
    """Ask about a submission; returns any answer that is no server error.

    Raises:
        NoAnswer: the provider is away, limits us or fails: ask again later.
    """
    try:
        answer = await http.request(method, url, **request)
    except httpx.HTTPError as error:
        raise NoAnswer(f"{url}: {type(error).__name__}: {error}") from error
    if answer.status_code in (401, 403, 408, 429, 502, 503):
        raise NoAnswer(f"{url}: {answer.status_code} {excerpt(answer)}")
    return answer


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The answer as a JSON object.

    Raises:
        NoAnswer: when it is none, or too large to be one of ours.
    """
    if len(answer.content) > MAX_ANSWER_BYTES:
        raise NoAnswer(f"{answer.url}: an answer of {len(answer.content)} bytes is no status")
    try:
        body = answer.json()
    except ValueError as error:
        raise NoAnswer(f"{answer.url}: no JSON: {excerpt(answer)}") from error
    if not isinstance(body, dict):
        raise NoAnswer(f"{answer.url}: not an object: {excerpt(answer)}")
    return body


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the provider asks us to wait, at most an hour; dates are ignored."""
    try:
        return min(3600.0, max(0.0, float(answer.headers.get("Retry-After", ""))))
    except ValueError:
        return None


def excerpt(answer: httpx.Response) -> str:
    """The beginning of an answer, on one line, for people."""
    return " ".join(answer.text[:300].split())
