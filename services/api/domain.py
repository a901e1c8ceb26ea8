"""The rules of accepting a request: what it becomes, when it is a repetition, when it cannot be stored."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from itertools import chain, islice

from contracts.base import GenerationType, Id, Model, Moment, Name
from contracts.chains import BaseImageSelected
from contracts.generation import GenerationRequested
from contracts.http import AnySubmission, FieldError
from contracts.http_chains import BaseImageSelection
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    StudioRequest,
)
from contracts.storable import faults

KINDS: dict[GenerationType, type[Model]] = {
    "base_image": BaseImageRequest,
    "character_sheet": CharacterSheetRequest,
    "studio": StudioRequest,
    "profile_pictures": ProfilePicturesRequest,
    "lora_training": LoraTrainingRequest,
}


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
    chain_id: Id | None = None
    character_id: Id | None = None
    steps: tuple[GenerationType, ...] = ()
    """Of the chain that it begins."""


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
            "then": getattr(submission, "then", ()),
        }
    )
    accepted = Accepted(
        job_id=job_id,
        tenant=caller.tenant,
        user_id=caller.user_id,
        type=submission.type,
        requested=1 if submission.type == "lora_training" else getattr(submission, "count", 0),
        idempotency_key=key,
        request_hash=request_hash(submission, caller, type=submission.type),
        requested_at=now,
        chain_id=message.chain,
        character_id=message.character_id,
        steps=(submission.type, *(each.type for each in message.then)) if message.then else (),
    )
    return accepted, message


def accept_selection(
    character_id: str, selection: BaseImageSelection, caller: Caller, *, key: str | None, now: datetime
) -> tuple[Accepted, BaseImageSelected]:
    """What a choice of face becomes: the record of the sheet that it asks for, and the message to say."""
    message = BaseImageSelected.model_validate(
        dict(selection)
        | {
            "character_id": character_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "selected_at": now,
        }
    )
    follow_ups = [each.type for each in message.then] or ["lora_training"]
    accepted = Accepted.model_validate(
        {
            "job_id": message.chain_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "type": "character_sheet",
            "requested": CharacterSheetRequest.model_fields["count"].default,
            "idempotency_key": key,
            "request_hash": request_hash(selection, caller, selected_for=character_id),
            "requested_at": now,
            "chain_id": message.chain_id,
            "character_id": character_id,
            "steps": ("character_sheet", *follow_ups),
        }
    )
    return accepted, message


def request_hash(said: Model, caller: Caller, **about: str) -> str:
    """Tells a repetition from another request: everything said, by whom, but for the job id.

    What equals its default does not count, so that a field of a later version changes no hash.
    """
    fields = said.model_dump(mode="json", exclude={"job_id"}, exclude_defaults=True)
    meant = fields | about | {"user_id": caller.user_id}
    return hashlib.sha256(json.dumps(meant, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


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


def unstorable(said: Model) -> tuple[FieldError, ...]:
    """What is valid JSON, but cannot be kept or passed on."""
    follow_ups = enumerate(getattr(said, "then", ()))
    parts = [(("workflow",), said), *((("then", str(place), "workflow"), each) for place, each in follow_ups)]
    found = chain.from_iterable(faults(getattr(part, "workflow", None), path) for path, part in parts)
    return tuple(FieldError(field=field, message=message) for field, message in islice(found, 10))
