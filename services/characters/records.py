"""The rules of a character's record: (record, message) → (record, what to say). No clock, no client.

Who it is and its chosen face are here; which sheet counts is in `sheets.py`, what its trainings come
to in `trainings.py`.

Messages may come twice, late or in another order than they were caused; what is newer by its own
time wins, and a rule returns the same record when it changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from contracts.base import Message
from contracts.chains import BaseImageSelected, SelectionDue
from contracts.characters import Character, CharacterCreated, CharacterRecord
from contracts.generation import GenerationRequested
from contracts.jobs import CharacterSheetCompleted, JobEvent
from contracts.requests import CharacterSheetRequest
from prompts.trigger_words import trigger_word
from services.characters.chosen_faces import with_face
from services.characters.job_images import ImagesByJob
from services.characters.policies import Policies
from services.characters.selections import refusal, selected_character
from services.characters.sheets import SheetPart, sheet_of_parts, starts_training, training_of, with_part
from services.characters.trainings import heard_of_training, standing
from shared.errors import PermanentError
from shared.fold import Folded

CharacterMessage = (
    CharacterCreated
    | BaseImageSelected
    | SelectionDue
    | GenerationRequested
    | CharacterSheetCompleted
    | JobEvent
)


class Record(CharacterRecord, Folded):
    """The `characters` document with what this service keeps for itself."""

    sheet_parts: tuple[SheetPart, ...] = ()
    created_as: Character | None = None
    """Its description when it was created by itself, without a choice of face."""


Step = tuple[Record | None, Sequence[Message]]


class CharacterIdConflict(PermanentError):
    """A character was created under this id with another description."""

    reason = "character_id_conflict"

    def __init__(self, character_id: str) -> None:
        super().__init__(f"character {character_id} exists with another description; use a new character_id")


def advance(
    record: Record | None, message: CharacterMessage, *, at: datetime, jobs: ImagesByJob, policies: Policies
) -> Step:
    """Apply one message to a record. `at` is the message's time in the log.

    Raises:
        UnknownBaseImage: when a selection's image is not there, or nobody says who is on it.
        CharacterIdConflict: when the character was created with another description.
    """
    match message:
        case CharacterCreated():
            return _created(record, message, at), ()
        case BaseImageSelected():
            who = selected_character(message, jobs, policies.selection)
            return _selected(record, message, at, who) if who else (record, ())
        case SelectionDue():
            if refusal(message, jobs, policies.selection):
                return record, ()
            who = selected_character(message, jobs, policies.selection)
            return _selected(record, message, at, who) if who else (record, ())
        case GenerationRequested():
            return _described(record, message, at), ()
        case CharacterSheetCompleted():
            return _sheet_completed(record, message, at, jobs, policies)
        case JobEvent():
            return _training_moved(record, message, at, policies)


def _created(record: Record | None, created: CharacterCreated, at: datetime) -> Record:
    """The character as it was described first. A face that was chosen, by whichever message came
    first, and what was said of it then stay."""
    if record is None:
        who = _with(created.character, created.character_id)
        record = _new(created.character_id, created.tenant, created.user_id, who, at)
    if record.created_as not in (None, created.character):
        raise CharacterIdConflict(created.character_id)
    return _changed(record, at, created_as=created.character)


def _selected(
    record: Record | None, message: BaseImageSelected | SelectionDue, at: datetime, who: Character
) -> Step:
    """The chosen face. The sheet is asked for also by a selection that a newer one has overtaken."""
    selected = message.selection if isinstance(message, SelectionDue) else message
    who = _with(who, selected.character_id, base_image_id=selected.base_image_id)
    if record is None:
        record = _new(selected.character_id, selected.tenant, selected.user_id, who, at)
    chosen_at = min(selected.selected_at or at, at)
    chosen = with_face(record, selected.base_image_id, selected.chain_id, chosen_at)
    if chosen is not record and chosen.faces[-1].chain_id == selected.chain_id:
        if record.character.base_image_id == selected.base_image_id:
            who = _with(who, selected.character_id, lora=who.lora or record.character.lora)
        chosen = chosen.model_copy(update={"character": who, "selected_at": chosen_at})
    fields = {"faces": chosen.faces, "selected_at": chosen.selected_at} | standing(chosen)
    return _changed(record, at, **fields), (selected.sheet,)


def _described(record: Record | None, requested: GenerationRequested, at: datetime) -> Record | None:
    """Whom a chain's request describes: stored, for its later steps name the character by its id."""
    sheet, character_id = requested.request, requested.character_id
    if not isinstance(sheet, CharacterSheetRequest) or sheet.character is None or character_id is None:
        return record
    if record is None:
        who = _with(sheet.character, character_id, base_image_id=sheet.base_image_id)
        record = _new(character_id, requested.tenant, requested.user_id, who, at)
    described = with_face(record, sheet.base_image_id, character_id, at)
    if record.selected_at is None:
        who = _with(record.character, character_id, base_image_id=sheet.base_image_id)
        described = described.model_copy(update={"character": who})
    return _changed(record, at, faces=described.faces, **standing(described))


def _sheet_completed(
    record: Record | None,
    completed: CharacterSheetCompleted,
    at: datetime,
    jobs: ImagesByJob,
    policies: Policies,
) -> Step:
    before, record = record, record or _told_by_job(completed, at, jobs)
    if record is None:
        return before, ()
    parts = with_part(record.sheet_parts, record.sheet, completed)
    sheet = sheet_of_parts(parts)
    trains = starts_training(record, sheet, completed, policies.training)
    said = (training_of(sheet, completed, policies.training),) if trains else ()
    return _changed(record, at, sheet_parts=parts, sheet=sheet), said


def _told_by_job(completed: CharacterSheetCompleted, at: datetime, jobs: ImagesByJob) -> Record | None:
    """The record that the request of a chain will make, when the chain's sheet is heard of first."""
    job = jobs.get(completed.job_id)
    if job is None or job.character is None or completed.chain_id != completed.character_id:
        return None
    who = _with(job.character, completed.character_id)
    return _new(completed.character_id, job.tenant, completed.user_id, who, at)


def _training_moved(record: Record | None, event: JobEvent, at: datetime, policies: Policies) -> Step:
    if record is None:
        return record, ()
    fields, said = heard_of_training(record, event, policies)
    return _changed(record, at, **fields), said


def _new(character_id: str, tenant: str, user_id: str, who: Character, at: datetime) -> Record:
    return Record(
        character_id=character_id,
        tenant=tenant,
        user_id=user_id,
        character=who,
        created_at=at,
        updated_at=at,
    )


def _with(who: Character, character_id: str, **fields: Any) -> Character:
    """The trigger word is fixed by the id, whatever a request says."""
    return who.model_copy(update=fields | {"trigger_word": trigger_word(character_id)})


def _changed(record: Record, at: datetime, **fields: Any) -> Record:
    """What is so already leaves it the same object."""
    if all(getattr(record, name) == value for name, value in fields.items()):
        return record
    return record.model_copy(update=fields | {"updated_at": max(record.updated_at, at)})
