"""The rules of a character's record: (record, message) → (record, outputs). Pure.

The description and the selected face are here, sheets in `sheets.py`, trainings in `trainings.py`.

Messages may arrive twice, late or out of order. The newer one by its own time wins, and a rule returns
the same record if nothing changes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

from contracts.base import Message
from contracts.chains import BaseImageSelected, SelectionDue
from contracts.characters import Character, CharacterCreated, CharacterRecord
from contracts.generation import GenerationRequested
from contracts.jobs import CharacterSheetCompleted, JobEvent
from contracts.requests import CharacterSheetRequest
from prompts.trigger_words import trigger_word
from services.characters.changes import CharacterChanges, RecordChanges, with_character, with_record
from services.characters.chosen_faces import with_face
from services.characters.job_images import ImagesByJob
from services.characters.policies import Policies
from services.characters.selections import refusal, selected_character
from services.characters.sheets import SheetPart, sheet_of_parts, starts_training, training_of, with_part
from services.characters.trainings import apply_training_event, lora_status
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
    """The `characters` document with the fields that only this service reads."""

    sheet_parts: tuple[SheetPart, ...] = ()
    created_as: Character | None = None
    """The description in `character.created`, if there was one."""


class OwnChanges(RecordChanges, total=False):
    """Fields of a record that change, with those that only this service reads."""

    sheet_parts: tuple[SheetPart, ...]
    created_as: Character | None


StepResult = tuple[Record | None, Sequence[Message]]


class CharacterIdConflict(PermanentError):
    """A character was created under this id with another description."""

    reason = "character_id_conflict"

    def __init__(self, character_id: str) -> None:
        super().__init__(f"character {character_id} exists with another description; use a new character_id")


def advance(
    record: Record | None, message: CharacterMessage, *, at: datetime, jobs: ImagesByJob, policies: Policies
) -> StepResult:
    """Apply one message to a record. `at` is the record's time in Kafka.

    Raises:
        UnknownBaseImage: if the image of a selection will not become ready, or shows an unknown character.
        CharacterIdConflict: if the character was created with another description.
    """
    match message:
        case CharacterCreated():
            return _created(record, message, at), ()
        case BaseImageSelected():
            character = selected_character(message, jobs, policies.selection)
            return _selected(record, message, at, character) if character else (record, ())
        case SelectionDue():
            if refusal(message, jobs, policies.selection):
                return record, ()
            character = selected_character(message, jobs, policies.selection)
            return _selected(record, message.selection, at, character) if character else (record, ())
        case GenerationRequested():
            return _described(record, message, at), ()
        case CharacterSheetCompleted():
            return _sheet_completed(record, message, at, jobs, policies)
        case JobEvent():
            return _training_reported(record, message, at, policies)


def _created(record: Record | None, created: CharacterCreated, at: datetime) -> Record:
    """Store the first description. A selected face and its description stay, whichever message came first."""
    if record is None:
        character = _with_trigger_word(created.character, created.character_id)
        record = _new(created.character_id, created.tenant, created.user_id, character, at)
    if record.created_as not in (None, created.character):
        raise CharacterIdConflict(created.character_id)
    return _changed(record, at, created_as=created.character)


def _selected(
    record: Record | None, selected: BaseImageSelected, at: datetime, character: Character
) -> StepResult:
    """Store the selected face and request its sheet, even if a newer selection was read before."""
    character = _with_trigger_word(character, selected.character_id, base_image_id=selected.base_image_id)
    if record is None:
        record = _new(selected.character_id, selected.tenant, selected.user_id, character, at)
    selected_at = min(selected.selected_at or at, at)
    chosen = with_face(record, selected.base_image_id, selected.chain_id, selected_at)
    if chosen is not record and chosen.faces[-1].chain_id == selected.chain_id:
        if record.character.base_image_id == selected.base_image_id:
            character = with_character(character, lora=character.lora or record.character.lora)
        chosen = with_record(chosen, character=character, selected_at=selected_at)
    changed = _changed(record, at, faces=chosen.faces, selected_at=chosen.selected_at, **lora_status(chosen))
    return changed, (selected.sheet,)


def _described(record: Record | None, requested: GenerationRequested, at: datetime) -> Record | None:
    """Store the character that a chain's request describes: its later steps name it by its id."""
    sheet, character_id = requested.request, requested.character_id
    if not isinstance(sheet, CharacterSheetRequest) or sheet.character is None or character_id is None:
        return record
    if record is None:
        character = _with_trigger_word(sheet.character, character_id, base_image_id=sheet.base_image_id)
        record = _new(character_id, requested.tenant, requested.user_id, character, at)
    described = with_face(record, sheet.base_image_id, character_id, at)
    if record.selected_at is None:
        character = _with_trigger_word(record.character, character_id, base_image_id=sheet.base_image_id)
        described = with_record(described, character=character)
    return _changed(record, at, faces=described.faces, **lora_status(described))


def _sheet_completed(
    record: Record | None,
    completed: CharacterSheetCompleted,
    at: datetime,
    jobs: ImagesByJob,
    policies: Policies,
) -> StepResult:
    before, record = record, record or _described_by_job(completed, at, jobs)
    if record is None:
        return before, ()
    parts = with_part(record.sheet_parts, record.sheet, completed)
    sheet = sheet_of_parts(parts)
    trains = starts_training(record, sheet, completed, policies.training)
    outputs = (training_of(sheet, completed, policies.training),) if trains else ()
    return _changed(record, at, sheet_parts=parts, sheet=sheet), outputs


def _described_by_job(completed: CharacterSheetCompleted, at: datetime, jobs: ImagesByJob) -> Record | None:
    """Return the record that a chain's request will store, if the chain's sheet is read before it."""
    job = jobs.get(completed.job_id)
    if job is None or job.character is None or completed.chain_id != completed.character_id:
        return None
    character = _with_trigger_word(job.character, completed.character_id)
    return _new(completed.character_id, job.tenant, completed.user_id, character, at)


def _training_reported(
    record: Record | None, event: JobEvent, at: datetime, policies: Policies
) -> StepResult:
    if record is None:
        return record, ()
    changes, outputs = apply_training_event(record, event, policies)
    return _changed(record, at, **changes), outputs


def _new(character_id: str, tenant: str, user_id: str, character: Character, at: datetime) -> Record:
    return Record(
        character_id=character_id,
        tenant=tenant,
        user_id=user_id,
        character=character,
        created_at=at,
        updated_at=at,
    )


def _with_trigger_word(
    character: Character, character_id: str, **changes: Unpack[CharacterChanges]
) -> Character:
    """Return a description with the trigger word that its id determines, whatever a request contains."""
    return with_character(with_character(character, **changes), trigger_word=trigger_word(character_id))


def _changed(record: Record, at: datetime, **changes: Unpack[OwnChanges]) -> Record:
    """Return the record with other values; equal values leave it the same object."""
    if all(getattr(record, name) == value for name, value in changes.items()):
        return record
    return with_record(record.model_copy(update={**changes}), updated_at=max(record.updated_at, at))
