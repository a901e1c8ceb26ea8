"""The rules of a character's trainings: the LoRA that it has, and the announcements. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from contracts.base import Message
from contracts.chains import LoraFailed, LoraReady
from contracts.characters import CharacterRecord, Training
from contracts.jobs import JobEvent
from services.characters.changes import (
    LoraStatus,
    RecordChanges,
    with_character,
    with_record,
    with_training,
)
from services.characters.chosen_faces import trainings_of_the_face
from services.characters.policies import Policies

ANOTHER_FACE = "another face was chosen since it was requested"

MAX_TRAININGS = 20
"""Number of trainings that a record keeps."""


def apply_training_event(
    record: CharacterRecord, event: JobEvent, policies: Policies
) -> tuple[RecordChanges, Sequence[Message]]:
    """Return the changes that an event of a training makes, and the announcements.

    Trainings are in the order of their requests: one that ends late does not replace the LoRA of a
    training that was requested later, and a failure takes no LoRA away.
    """
    known = next((each for each in record.trainings if each.job_id == event.job_id), _begun(event))
    if known.state != "training":
        return {}, ()
    after = _after(known, event, policies)
    others = (each for each in record.trainings if each.job_id != event.job_id)
    ordered = sorted((*others, after), key=lambda each: (each.requested_at, each.job_id))
    trainings = tuple(ordered[-MAX_TRAININGS:])
    status = lora_status(with_record(record, trainings=trainings))
    announcements = _announcements(event, after, status)
    changes = RecordChanges(
        trainings=trainings,
        character=status["character"],
        lora_state=status["lora_state"],
        lora_error=status["lora_error"],
        lora_failed_at=status["lora_failed_at"],
    )
    return changes, announcements


def lora_status(record: CharacterRecord) -> LoraStatus:
    """Return the state of the LoRA by the trainings of the present face; others do not count."""
    trainings = trainings_of_the_face(record)
    others = {each.lora.key for each in record.trainings if each.lora and each not in trainings}
    loras = [each.lora for each in trainings if each.lora]
    described = record.character.lora
    lora = loras[-1] if loras else None if described and described.key in others else described
    runs = any(each.state == "training" for each in trainings)
    newest = trainings[-1] if trainings and not runs else None
    failed_at = (each.failed_at for each in trainings if each.failed_at)
    return {
        "character": with_character(record.character, lora=lora),
        "lora_state": "training" if runs else newest.state if newest else "none",
        "lora_error": newest.error if newest else None,
        "lora_failed_at": max(failed_at, default=None) if newest else None,
    }


def _announcements(event: JobEvent, training: Training, status: LoraStatus) -> Sequence[Message]:
    """Return the announcement of a training that has ended, with the LoRA that the character has now."""
    character_id, lora = event.character_id or "", status["character"].lora
    if training.state == "ready" and lora:
        ready = LoraReady(
            character_id=character_id,
            job_id=event.job_id,
            tenant=event.tenant,
            chain_id=event.chain_id,
            at=event.at,
            lora=lora,
        )
        return (ready,)
    if training.state == "training":
        return ()
    failed = LoraFailed(
        character_id=character_id,
        job_id=event.job_id,
        tenant=event.tenant,
        chain_id=event.chain_id,
        at=event.at,
        reason=training.error or ANOTHER_FACE,
    )
    return (failed,)


def _begun(event: JobEvent) -> Training:
    elapsed = timedelta(milliseconds=round(1000 * event.elapsed_seconds))
    return Training(job_id=event.job_id, chain_id=event.chain_id, requested_at=event.at - elapsed)


def _after(training: Training, event: JobEvent, policies: Policies) -> Training:
    stored = event.image.lora if event.image else None
    if stored is not None:
        return with_training(training, state="ready", lora=policies.lora_of(stored))
    if event.event == "failed":
        why = f"{event.error.code}: {event.error.message}" if event.error else "no reason is known"
        return with_training(training, state="failed", error=why, failed_at=event.at)
    return training
