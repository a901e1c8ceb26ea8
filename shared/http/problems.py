"""Errors over HTTP as RFC 9457 problems, the same for every service and every status."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException

from contracts.http import FieldError, Problem
from contracts.json_text import fault_in
from contracts.requests import FOLLOW_UP_TYPES
from contracts.wording import MAX_ERRORS, error_text, field_path
from shared.errors import TransientError
from shared.observability.tracing import trace_id_of
from shared.transient import is_transient

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 2
FIELD_SHOWN = 200
UNAUTHENTICATED_HEADERS = ("x-tenant-id", "x-user-id")


class Refusal(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses answer with a problem."""
    schema = Problem.model_json_schema()
    schema["properties"]["errors"]["items"] = schema.pop("$defs")["FieldError"]
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install_problems(app: FastAPI) -> None:
    """Answer every error of this application with a problem."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return problem(error.status, error.detail, error.errors, error.headers)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        is_worded = error.status_code == 413 and str(error.detail).startswith("Body ")
        known = None if is_worded else _DETAILS.get(error.status_code)
        detail = known.format(method=request.method, path=request.url.path) if known else str(error.detail)
        return problem(error.status_code, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _invalid(error)

    @app.exception_handler(PyMongoError)
    @app.exception_handler(TransientError)
    @app.exception_handler(TimeoutError)
    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        if is_transient(error):
            log.warning("answered_503", path=request.url.path, error=f"{type(error).__name__}: {error}")
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            detail = f"Service temporarily unavailable; retry after {RETRY_AFTER_SECONDS} s."
            return problem(503, detail, headers=headers)
        parent = getattr(request.state, "traceparent", None) or request.headers.get("traceparent")
        trace_id = trace_id_of(parent)
        log.error("request_failed", path=request.url.path, trace_id=trace_id, exc_info=error)
        return problem(500, f"Internal error; it was logged with trace id {trace_id}.")


_DETAILS = {
    400: "Body is not valid JSON.",
    404: "No resource at {path}.",
    405: "{path} does not support {method}.",
    413: "Body is too large.",
}


def problem(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as a response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=tuple(errors))
    return Response(
        body.model_dump_json(), status, media_type="application/problem+json", headers=dict(headers or {})
    )


def _invalid(error: RequestValidationError) -> Response:
    details = error.errors()
    for detail in details:
        place, *rest = detail["loc"]
        if place == "header" and rest and str(rest[0]).lower() in UNAUTHENTICATED_HEADERS:
            return problem(401, f"The header {rest[0]} {error_text(detail)}.")
    errors = field_errors(details, error.body)
    return problem(422, "; ".join(f"{error.field}: {error.message}" for error in errors[:5]), errors)


def field_errors(details: Sequence[Any], body: Any) -> tuple[FieldError, ...]:
    """One error per field that the caller wrote, or left out; steps that only our types have are dropped."""
    found: dict[str, dict[str, None]] = {}
    for detail in details:
        place, *path = detail["loc"]
        if place == "body":
            missing = detail["type"] == "missing"
            field = "body" if detail["type"] == "json_invalid" else _written(path, body, missing=missing)
            if detail["type"].startswith("union_tag"):
                field += ".type"
        else:
            field = ".".join(map(str, path))
        found.setdefault(field[:FIELD_SHOWN], {})[_message(field, detail)] = None
    errors = (FieldError(field=field, message=" or ".join(texts)) for field, texts in found.items())
    return tuple(islice(errors, MAX_ERRORS))


def _written(path: Sequence[int | str], body: Any, *, missing: bool) -> str:
    steps: list[str] = []
    for position, step in enumerate(path):
        inside = isinstance(body, dict) and step in body
        if inside or (isinstance(body, list) and isinstance(step, int) and step < len(body)):
            body = body[step]
            steps.append(str(step))
        elif missing and position == len(path) - 1:
            steps.append(str(step))
    return field_path(steps)


def _message(field: str, detail: Mapping[str, Any]) -> str:
    if detail["type"] == "json_invalid":
        return f"is not valid JSON: {fault_in(detail['ctx']['error'], detail['loc'][-1])}"
    types = ", ".join(FOLLOW_UP_TYPES) if field.startswith("then.") else ""
    return error_text(detail, types=types, age=field.rpartition(".")[2] == "age")
