"""The rules of accepting a request: what it becomes, when it is a repetition, when it cannot be stored."""

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
"""The namespace of the ids under which creations of characters are kept."""


class Caller(Model):
    """The tenant and user of a request."""

    tenant: Name
    user_id: UserId


class Accepted(Model):
    """The `submissions` document (`_id` is the job id) without what it owes."""

    job_id: Id
    tenant: Name
    user_id: UserId
    type: GenerationType | None = None
    """None: it creates a character and has no job."""
    requested: int = 0
    """Images asked for; 0 where only the plan knows."""
    idempotency_key: str | None = None
    submission_hash: str = ""
    """Hash of what the caller sent, from `submission_hash`. Empty in documents older than the field."""
    requested_at: Moment
    chain_id: Id | None = None
    character_id: CharacterId | None = None
    character: Character | None = None
    """As it will be stored under `character_id`; null where the submission stores none."""
    steps: tuple[GenerationType, ...] = ()
    """Of the chain that it begins."""
    planned: bool | None = None
    """True when listings need not look for its job: it was found, or there is none."""

    @property
    def is_job(self) -> bool:
        """Return whether it asks for a job."""
        return self.type is not None


class Conflict(Exception):
    """The key or the job id already stands for another request."""


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
        steps=(submission.type, *(each.type for each in message.then)) if message.then else (),
    )
    return accepted, message


def _described(message: GenerationRequested) -> Character | None:
    """The character that the beginning of a chain describes: it is stored under the chain's id."""
    sheet = message.request
    if not message.then or not isinstance(sheet, CharacterSheetRequest) or sheet.character is None:
        return None
    return as_stored(sheet.character, message.chain or message.job_id, base_image_id=sheet.base_image_id)


def as_stored(character: Character, character_id: str, **fields: str) -> Character:
    """The character as it will be stored: its trigger word is fixed by its id."""
    return character.model_copy(update=fields | {"trigger_word": trigger_word(character_id)})


def accept_selection(
    character_id: str,
    selection: BaseImageSelection,
    drawn: Character | None,
    caller: Caller,
    *,
    key: str | None,
    now: datetime,
) -> tuple[Accepted, BaseImageSelected]:
    """Turn a choice of face into the record of its sheet and the message to publish."""
    message = BaseImageSelected.model_validate(
        dict(selection)
        | {
            "character_id": character_id,
            "tenant": caller.tenant,
            "user_id": caller.user_id,
            "selected_at": now,
        }
    )
    who = selection.character or drawn
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
            "character": who and as_stored(who, character_id, base_image_id=selection.base_image_id),
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


def set_by_the_service(character: Character, character_id: str | None) -> tuple[FieldError, ...]:
    """Return the errors of a creation that sets what follows from its id or from a training."""
    errors = []
    own = trigger_word(character_id) if character_id else None
    if character.trigger_word not in (None, own):
        message = "follows from the character's id; leave it out"
        errors.append(FieldError(field="character.trigger_word", message=message))
    if character.lora is not None:
        message = "is set when a training of it ends; leave it out"
        errors.append(FieldError(field="character.lora", message=message))
    return tuple(errors)


def is_same_person(known: Character, described: Character) -> bool:
    """Return whether a character is the described one, apart from what was made of it since."""
    made = {name: getattr(described, name) for name in ("base_image_id", "lora", "trigger_word")}
    return known.model_copy(update=made) == described


def as_written(reason: Reason) -> FieldError:
    """A reason with its field as the caller wrote it: the request is the body itself."""
    field = "body" if reason.field == "request" else reason.field.removeprefix("request.")
    return FieldError(field=field, message=reason.message)


def submission_hash(said: Model, caller: Caller | None, **about: str) -> str:
    """Return the SHA-256 of a submission without its job id; a repetition has the same one.

    The user counts where a caller is given; a character is its tenant's. Values that equal their
    default do not count, so that a field of a later version changes no hash.
    """
    fields = said.model_dump(mode="json", exclude={"job_id"}, exclude_defaults=True)
    meant = fields | about | ({"user_id": caller.user_id} if caller else {})
    return hashlib.sha256(json.dumps(meant, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def repeated(new: Accepted, asked_id: str | None, known: Sequence[Accepted]) -> Accepted:
    """The submission that this one repeats.

    Raises:
        Conflict: saying whether the key or the job id is taken by another request.
    """
    for earlier in known:
        by_key = new.idempotency_key is not None and earlier.idempotency_key == new.idempotency_key
        name = "job_id" if new.is_job else "character id"
        if by_key and earlier.tenant == new.tenant:
            name = "Idempotency-Key"
        same = earlier.submission_hash == new.submission_hash and earlier.tenant == new.tenant
        if not same or (asked_id is not None and earlier.job_id != asked_id):
            raise Conflict(f"this {name} already stands for another request; use a new one")
    return known[0]


def unstorable(said: Model) -> tuple[FieldError, ...]:
    """Return the errors of parts that are valid JSON but cannot be stored."""
    follow_ups = enumerate(getattr(said, "then", ()))
    parts = [(("workflow",), said), *((("then", str(place), "workflow"), each) for place, each in follow_ups)]
    found = chain.from_iterable(faults(getattr(part, "workflow", None), path) for path, part in parts)
    return tuple(FieldError(field=field, message=message) for field, message in islice(found, 10))
