"""Failures in Fal's error bodies: the reason, and whether a retry may succeed.

Source: Fal's documented error types; a type that is not listed is not retried.
"""

from typing import Any

import httpx

from services.gateways.kit.provider import Failed
from services.gateways.kit.wire import excerpt

RETRYABLE = frozenset(
    {
        "internal_error",
        "request_timeout",
        "runner_connection_error",
        "runner_connection_refused",
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_incomplete_response",
        "runner_scheduling_failure",
        "runner_server_error",
        "startup_timeout",
    }
)
STILL_RUNNING = "Request is still in progress"
NSFW = "content_policy_violation"


def failure_of(answer: httpx.Response, body: dict[str, Any]) -> Failed:
    """Return the failure of a result answer with status 400 or above."""
    kind, message = _kind_and_message(answer, body)
    retryable = kind in RETRYABLE or answer.headers.get("X-Fal-Retryable", "").lower() in ("1", "true")
    if answer.headers.get("X-Fal-Request-Timeout-Type") == "user":
        retryable = False
    code = "nsfw" if kind == NSFW else "provider_error"
    billed = "no" if answer.status_code >= 500 or answer.status_code == 422 else "unknown"
    return Failed(code, f"{kind}: {message}"[:500], retryable, billed)  # type: ignore[arg-type]


def failure_in(status: dict[str, Any]) -> Failed:
    """Return the failure that a status names, for results answered as if Fal itself were unavailable."""
    kind = str(status["error_type"])
    retryable = kind in RETRYABLE
    code = "nsfw" if kind == NSFW else "provider_error"
    message = f"{kind}: {status.get('error')}"[:500]
    return Failed(code, message, retryable, "no" if retryable else "unknown")


def _kind_and_message(answer: httpx.Response, body: dict[str, Any]) -> tuple[str, str]:
    detail = body.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        first = detail[0]
        loc = first.get("loc")
        where = ".".join(str(part) for part in loc) if isinstance(loc, list) else ""
        return str(first.get("type", "model_error")), f"{where}: {first.get('msg', '')}"
    kind = body.get("error_type") or answer.headers.get("X-Fal-Error-Type") or f"http_{answer.status_code}"
    return str(kind), str(detail or body.get("error") or excerpt(answer))
