"""The rules of accepting a request: what it becomes, when it is a repetition, when it cannot be stored."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from contracts.base import GenerationType, Id, Model, Moment, Name
from contracts.generation import GenerationRequested
from contracts.http import AnySubmission, FieldError
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    StudioRequest,
)

KINDS: dict[GenerationType, type[Model]] = {
    "base_image": BaseImageRequest,
    "character_sheet": CharacterSheetRequest,
    "studio": StudioRequest,
    "profile_pictures": ProfilePicturesRequest,
    "lora_training": LoraTrainingRequest,
}
DEEPEST = 80
"""MongoDB stores documents of at most 100 levels; a workflow lies a few levels down."""


class Caller(Model):
    """Who asks."""

    tenant: Name
    user_id: Name


class Accepted(Model):
    """The `submissions` document (`_id` is the job id) without what it owes."""

    job_id: Id
    tenant: Name
    user_id: Name
    type: GenerationType
    requested: int
    """Images asked for; 0 where only the plan knows."""
    idempotency_key: str | None = None
    request_hash: str
    requested_at: Moment


class Conflict(Exception):
    """The key or the job id already stands for another request."""


def accept(
    submission: AnySubmission, caller: Caller, *, key: str | None, job_id: str, now: datetime
) -> tuple[Accepted, GenerationRequested]:
    """What a submission becomes: our record, and the message to say."""
    kind = KINDS[submission.type]
    request = kind.model_validate(submission.model_dump(include=set(kind.model_fields)))
    message = GenerationRequested.model_validate(
        {
            "job_id": job_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "request": request,
            "requested_at": now,
            "notify": submission.notify,
        }
    )
    accepted = Accepted(
        job_id=job_id,
        tenant=caller.tenant,
        user_id=caller.user_id,
        type=submission.type,
        requested=1 if submission.type == "lora_training" else getattr(submission, "count", 0),
        idempotency_key=key,
        request_hash=request_hash(submission, caller),
        requested_at=now,
    )
    return accepted, message


def request_hash(submission: AnySubmission, caller: Caller) -> str:
    """Tells a repetition from another request: everything said, by whom, but for the job id."""
    said = submission.model_dump(mode="json", exclude={"job_id"}) | {"user_id": caller.user_id}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def repeated(new: Accepted, asked_id: str | None, known: Sequence[Accepted]) -> Accepted:
    """The submission that this one repeats.

    Raises:
        Conflict: saying whether the key or the job id is taken by another request.
    """
    for earlier in known:
        by_key = new.idempotency_key is not None and earlier.idempotency_key == new.idempotency_key
        name = "Idempotency-Key" if by_key and earlier.tenant == new.tenant else "job_id"
        same = earlier.request_hash == new.request_hash and earlier.tenant == new.tenant
        if not same or (asked_id is not None and earlier.job_id != asked_id):
            raise Conflict(f"this {name} already stands for another request; use a new one")
    return known[0]


def unstorable(submission: AnySubmission) -> tuple[FieldError, ...]:
    """What is valid JSON, but cannot be kept or passed on."""
    errors = list(_faults(getattr(submission, "workflow", None), ("workflow",)))
    url = submission.notify.webhook_url
    if url is not None and not (url.isascii() and url.isprintable() and " " not in url):
        errors.append(FieldError(field="notify.webhook_url", message="must be a URL in printable ASCII"))
    return tuple(errors[:10])


def _faults(value: Any, path: tuple[str, ...]) -> Iterator[FieldError]:
    message = _fault(value) if len(path) <= DEEPEST else f"must not lie deeper than {DEEPEST} levels"
    if message:
        yield FieldError(field=".".join(path), message=message)
        return
    for step, inner in _children(value):
        if _fault(step):
            yield FieldError(field=".".join(path), message=f"has a name that {_fault(step)}")
        else:
            yield from _faults(inner, (*path, step))


def _children(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list):
        return ((str(position), inner) for position, inner in enumerate(value))
    return ()


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "must not contain the character U+0000"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "must not contain half of a surrogate pair"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must fit into 64 bits"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "must be a finite number"
    return None
