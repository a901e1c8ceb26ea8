"""Rules for accepting a request: its record and message, repetitions, values that cannot be stored."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from itertools import chain, islice
from uuid import UUID, uuid5

from contracts.base import CharacterId, GenerationType, Id, Model, Moment, Name, UserId
from contracts.chains import BaseImageSelected
from contracts.characters import Character, CharacterCreated
from contracts.generation import GenerationRequested, Reason
from contracts.http import AnySubmission, FieldError
from contracts.http_chains import BaseImageSelection, CharacterCreation
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    StudioRequest,
    result_count,
)
from contracts.storable import faults
from prompts.trigger_words import trigger_word

KINDS: dict[GenerationType, type[Model]] = {
    "base_image": BaseImageRequest,
    "character_sheet": CharacterSheetRequest,
    "studio": StudioRequest,
    "profile_pictures": ProfilePicturesRequest,
    "lora_training": LoraTrainingRequest,
}


CREATIONS = UUID("b1f0c0de-5e1e-4c7e-8d0c-c4a1d0000002")
"""Namespace of the submission ids of character creations."""


class Caller(Model):
    """The tenant and user of a request."""

    tenant: Name
    user_id: UserId


class Accepted(Model):
    """The `submissions` document (`_id` is the job id) without its outbox entry."""

    job_id: Id
    tenant: Name
    user_id: UserId
    type: GenerationType | None = None
    """None for the creation of a character, which has no job."""
    requested: int = 0
    """Number of requested images; 0 where only the plan knows."""
    idempotency_key: str | None = None
    submission_hash: str = ""
    """Hash of the request, from `submission_hash`. Empty in documents older than the field."""
    requested_at: Moment
    chain_id: Id | None = None
    character_id: CharacterId | None = None
    character: Character | None = None
    """The character to store under `character_id`; null where the submission stores none."""
    described: Character | None = None
    """The description in the request, for a selection of one of the job's images before it is planned."""
    steps: tuple[GenerationType, ...] = ()
    """Steps of the chain that it starts."""
    planned: bool | None = None
    """True when the job document was found or will never exist; listings then skip the submission."""

    @property
    def is_job(self) -> bool:
        """True when it requests a job."""
        return self.type is not None


class Conflict(Exception):
    """The key or the job id already belongs to a different request."""


def accept(
    submission: AnySubmission, caller: Caller, *, key: str | None, job_id: str, now: datetime
) -> tuple[Accepted, GenerationRequested]:
    """Turn a submission into its record and the message to publish."""
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
        requested=result_count(message.request),
        idempotency_key=key,
        submission_hash=submission_hash(submission, caller, type=submission.type),
        requested_at=now,
        chain_id=message.chain,
        character_id=message.character_id,
        character=_described(message),
        described=getattr(message.request, "character", None),
        steps=(submission.type, *(each.type for each in message.then)) if message.then else (),
    )
    return accepted, message


def _described(message: GenerationRequested) -> Character | None:
    """Return the character that the first step of a chain describes; its id is the chain's."""
    sheet = message.request
    if not message.then or not isinstance(sheet, CharacterSheetRequest) or sheet.character is None:
        return None
    return as_stored(sheet.character, message.chain or message.job_id, base_image_id=sheet.base_image_id)


def as_stored(character: Character, character_id: str, *, base_image_id: str | None = None) -> Character:
    """Return the character as it will be stored; its trigger word is derived from its id."""
    face = base_image_id or character.base_image_id
    return character.model_copy(update={"base_image_id": face, "trigger_word": trigger_word(character_id)})


def accept_selection(
    character_id: str,
    selection: BaseImageSelection,
    drawn: Character | None,
    caller: Caller,
    *,
    key: str | None,
    now: datetime,
) -> tuple[Accepted, BaseImageSelected]:
    """Turn the choice of a face into the record of its sheet and the message to publish."""
    message = BaseImageSelected.model_validate(
        dict(selection)
        | {
            "character_id": character_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "job_accepted": True,
            "selected_at": now,
        }
    )
    described = selection.character or drawn
    follow_ups = [each.type for each in message.then] or ["lora_training"]
    accepted = Accepted.model_validate(
        {
            "job_id": message.chain_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "type": "character_sheet",
            "requested": CharacterSheetRequest.model_fields["count"].default,
            "idempotency_key": key,
            "submission_hash": submission_hash(selection, caller, selected_for=character_id),
            "requested_at": now,
            "chain_id": message.chain_id,
            "character_id": character_id,
            "character": described
            and as_stored(described, character_id, base_image_id=selection.base_image_id),
            "steps": ("character_sheet", *follow_ups),
        }
    )
    return accepted, message


def accept_creation(
    character_id: str, creation: CharacterCreation, caller: Caller, *, key: str | None, now: datetime
) -> tuple[Accepted, CharacterCreated]:
    """Turn the creation of a character into its record and the message to publish."""
    message = CharacterCreated(
        character_id=character_id,
        tenant=caller.tenant,
        user_id=caller.user_id,
        character=creation.character,
        created_at=now,
    )
    accepted = Accepted(
        job_id=str(uuid5(CREATIONS, f"{caller.tenant}/{character_id}")),
        tenant=caller.tenant,
        user_id=caller.user_id,
        idempotency_key=key,
        submission_hash=submission_hash(creation, None, type="character"),
        requested_at=now,
        character_id=character_id,
        character=as_stored(creation.character, character_id),
        planned=True,
    )
    return accepted, message


def read_only_field_errors(character: Character, character_id: str | None) -> tuple[FieldError, ...]:
    """Return an error for each field of a creation that only the service may set."""
    errors = []
    own = trigger_word(character_id) if character_id else None
    if character.trigger_word not in (None, own):
        message = "is derived from the character's id and cannot be set; leave it out"
        errors.append(FieldError(field="character.trigger_word", message=message))
    if character.lora is not None:
        message = "is set when a training ends and cannot be set here; leave it out"
        errors.append(FieldError(field="character.lora", message=message))
    return tuple(errors)


def is_same_person(known: Character, described: Character) -> bool:
    """Return whether two descriptions are of the same character; ignores face, LoRA and trigger word."""
    made = {name: getattr(described, name) for name in ("base_image_id", "lora", "trigger_word")}
    return known.model_copy(update=made) == described


def field_error_of(reason: Reason) -> FieldError:
    """Return a reason as a field error; over HTTP the request is the body itself."""
    field = "body" if reason.field == "request" else reason.field.removeprefix("request.")
    return FieldError(field=field, message=reason.message)


def submission_hash(request: Model, caller: Caller | None, **about: str) -> str:
    """Return the SHA-256 of a submission without its job id; a repetition has the same one.

    The user counts where a caller is given; a character is its tenant's. Values that equal their
    default do not count, so that a field of a later version changes no hash.
    """
    fields = request.model_dump(mode="json", exclude={"job_id"}, exclude_defaults=True)
    meant = fields | about | ({"user_id": caller.user_id} if caller else {})
    return hashlib.sha256(json.dumps(meant, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def earlier_submission(new: Accepted, requested_id: str | None, known: Sequence[Accepted]) -> Accepted:
    """Return the submission that this one repeats.

    Raises:
        Conflict: names the key or the id that belongs to a different request.
    """
    for earlier in known:
        by_key = new.idempotency_key is not None and earlier.idempotency_key == new.idempotency_key
        name = "job_id" if new.is_job else "character id"
        if by_key and earlier.tenant == new.tenant:
            name = "Idempotency-Key"
        same = earlier.submission_hash == new.submission_hash and earlier.tenant == new.tenant
        if not same or (requested_id is not None and earlier.job_id != requested_id):
            raise Conflict(f"{name} already belongs to a different request; use a new one")
    return known[0]


def storage_errors(request: Model) -> tuple[FieldError, ...]:
    """Return the errors of parts that are valid JSON but cannot be stored."""
    follow_ups = enumerate(getattr(request, "then", ()))
    parts = [
        (("workflow",), request),
        *((("then", str(place), "workflow"), each) for place, each in follow_ups),
    ]
    found = chain.from_iterable(faults(getattr(part, "workflow", None), path) for path, part in parts)
    return tuple(FieldError(field=field, message=message) for field, message in islice(found, 10))
