"""Rejection of requests that cannot be read, so that the caller receives an error."""

import hashlib
from datetime import datetime
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from contracts.base import CharacterId, GenerationType, Id, Moment, Name, UserId
from contracts.generation import GenerationRejected, Notify, Reason
from contracts.json_text import loads
from contracts.requests import FOLLOW_UP_TYPES
from contracts.times import plausible
from contracts.wording import MAX_ERRORS, error_text, field_path

_TYPES = get_args(GenerationType)
_FIELD_SHOWN = 200


def rejection_of(value: bytes, key: str, error: ValidationError, at: datetime) -> GenerationRejected | None:
    """Return the rejection of a `GenerationRequested` that could not be read, or None.

    The job id is the one of the body, else the record's key. Without a readable job id, tenant or user id
    the result is None, because no user could see the job. An unreadable `type` is replaced by "studio".
    `request_hash` is the SHA-256 of the raw value.
    """
    body = _read(value)
    job_id = _valid(Id, body.get("job_id")) or _valid(Id, key)
    tenant = _valid(Name, body.get("tenant"))
    user_id = _valid(UserId, body.get("user_id"))
    if job_id is None or tenant is None or user_id is None:
        return None
    request = _dict(body.get("request"))
    kind = request.get("type")
    chain_id = _valid(Id, body.get("chain_id")) or (job_id if body.get("then") else None)
    character_id = _valid(CharacterId, request.get("character_id"))
    return GenerationRejected(
        job_id=job_id,
        tenant=tenant,
        user_id=user_id,
        type=kind if kind in _TYPES else "studio",
        request_hash=hashlib.sha256(value).hexdigest(),
        requested_at=plausible(_valid(Moment, body.get("requested_at")), at),
        notify=_valid(Notify, body.get("notify")) or Notify(),
        chain_id=chain_id,
        character_id=character_id or (chain_id if body.get("then") else None),
        reasons=reasons_of(error),
    )


def reasons_of(error: ValidationError) -> tuple[Reason, ...]:
    """Convert a validation error to reasons with the caller's field names, one per field."""
    reasons: dict[str, Reason] = {}
    for details in error.errors(include_url=False):
        field = _field(details)
        reasons.setdefault(field, Reason(field=field, message=_message(field, details)))
    return tuple(reasons.values())[:MAX_ERRORS]


def _field(details: ErrorDetails) -> str:
    """Return the path in the caller's body, without the union tags that pydantic adds."""
    path = [str(part) for part in details["loc"]]
    tag = 1 if path[:1] == ["request"] else 2
    if path[:1] in (["request"], ["then"]):
        if path[tag:] and path[tag] in _TYPES:
            del path[tag]
        if details["type"].startswith("union_tag"):
            path.append("type")
    if path[:3] == ["request", "character", "age"]:
        del path[3:]
    return field_path(path)[:_FIELD_SHOWN]


def _message(field: str, details: ErrorDetails) -> str:
    known = FOLLOW_UP_TYPES if field.startswith("then.") else _TYPES
    return error_text(details, types=", ".join(known), age=field == "request.character.age")


def _read(value: bytes) -> dict[str, Any]:
    try:
        return _dict(loads(value))
    except (ValueError, RecursionError):
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _valid(kind: Any, value: object) -> Any:
    """Return the value if it is valid for a type, else None."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None
