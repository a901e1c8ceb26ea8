"""A request that cannot even be read → a rejection, so that its caller hears of it."""

import hashlib
import json
from datetime import datetime
from typing import Any, Final, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from contracts.base import CharacterId, GenerationType, Id, Moment, Name
from contracts.generation import GenerationRejected, Notify, Reason
from contracts.requests import FollowUp
from contracts.times import plausible

MAX_REASONS: Final = 20
_TYPES = get_args(GenerationType)
_FOLLOWING = tuple(kind.model_fields["type"].default for kind in get_args(get_args(FollowUp)[0]))
_SHOWN = 100
_FIELD_SHOWN = 200

_MESSAGES = {
    "missing": "is required",
    "string_too_long": "at most {max_length} characters, got {length}",
    "string_too_short": "at least {min_length} characters, got {length}",
    "too_long": "at most {max_length} items, got {actual_length}",
    "too_short": "at least {min_length} items, got {actual_length}",
    "greater_than": "must be greater than {gt}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than": "must be less than {lt}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "literal_error": "must be {expected}, got {got}",
    "string_pattern_mismatch": "must match {pattern}, got {got}",
    "string_type": "must be a text, got {got}",
    "int_type": "must be a whole number, got {got}",
    "int_parsing": "must be a whole number, got {got}",
    "int_from_float": "must be a whole number, got {got}",
    "bool_type": "must be true or false, got {got}",
    "bool_parsing": "must be true or false, got {got}",
    "dict_type": "must be an object, got {got}",
    "model_type": "must be an object, got {got}",
    "model_attributes_type": "must be an object, got {got}",
    "tuple_type": "must be a list, got {got}",
    "value_error": "{error}",
    "json_invalid": "is not JSON: {error}",
    "union_tag_invalid": "unknown type {tag}; known types: {types}",
    "union_tag_not_found": "is required; known types: {types}",
}


def rejection_of(value: bytes, key: str, error: ValidationError, at: datetime) -> GenerationRejected | None:
    """The rejection of a `GenerationRequested` that could not be read.

    The job id is the body's, else the record's key. Without a job id and a tenant there is no job to
    reject, and nobody who could see it: None.
    """
    body = _read(value)
    job_id = _valid(Id, body.get("job_id")) or _valid(Id, key)
    tenant = _valid(Name, body.get("tenant"))
    if job_id is None or tenant is None:
        return None
    request = _dict(body.get("request"))
    kind = request.get("type")
    chain_id = _valid(Id, body.get("chain_id")) or (job_id if body.get("then") else None)
    character_id = _valid(CharacterId, request.get("character_id"))
    return GenerationRejected(
        job_id=job_id,
        tenant=tenant,
        user_id=_valid(Name, body.get("user_id")) or "unknown",
        type=kind if kind in _TYPES else "studio",
        request_hash=hashlib.sha256(value).hexdigest(),
        requested_at=plausible(_valid(Moment, body.get("requested_at")), at),
        notify=_valid(Notify, body.get("notify")) or Notify(),
        chain_id=chain_id,
        character_id=character_id or (chain_id if body.get("then") else None),
        reasons=reasons_of(error),
    )


def reasons_of(error: ValidationError) -> tuple[Reason, ...]:
    """What is wrong, in the caller's terms: one reason per field, none longer than it must be."""
    reasons: dict[str, Reason] = {}
    for details in error.errors(include_url=False):
        field = _field(details)
        reasons.setdefault(field, Reason(field=field, message=_message(field, details)))
    return tuple(reasons.values())[:MAX_REASONS]


def _field(details: ErrorDetails) -> str:
    """The path as the caller wrote it: without the union's tags that pydantic puts into it."""
    path = [str(part) for part in details["loc"]]
    tag = 1 if path[:1] == ["request"] else 2
    if path[:1] in (["request"], ["then"]):
        if path[tag:] and path[tag] in _TYPES:
            del path[tag]
        if details["type"].startswith("union_tag"):
            path.append("type")
    if path[:3] == ["request", "character", "age"]:
        del path[3:]
    return ".".join(path)[:_FIELD_SHOWN] or "body"


def _message(field: str, details: ErrorDetails) -> str:
    if field == "request.character.age":
        if details["type"] == "missing":
            return _MESSAGES["missing"]
        return f"must be an age in years, as a number or in words, got {_shown(details['input'])}"
    given = details["input"]
    context: dict[str, Any] = dict(details.get("ctx", {}))
    known = _FOLLOWING if field.startswith("then.") else _TYPES
    context |= {"got": _shown(given), "types": ", ".join(known)}
    context["tag"] = _shown(context.get("tag"))
    context["length"] = len(given) if isinstance(given, str) else 0
    template = _MESSAGES.get(details["type"])
    return _cut(template.format(**context) if template else details["msg"], 3 * _SHOWN)


def _shown(given: object) -> str:
    """A value as it may be said back: never more than a line of it."""
    if isinstance(given, str):
        return f"'{_cut(given, _SHOWN)}'"
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, int):
        return str(given) if given.bit_length() < 64 else "a very large number"
    if isinstance(given, float):
        return repr(given)
    return "an object" if isinstance(given, dict) else "a list"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def _read(value: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(value))
    except (ValueError, RecursionError):
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _valid(kind: Any, value: object) -> Any:
    """The value when it is of that kind, else None."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None
