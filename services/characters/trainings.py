"""The rules of a character's trainings: which LoRA it has, and what is told of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.base import Message
from contracts.chains import LoraFailed, LoraReady
from contracts.characters import CharacterRecord, Training
from contracts.jobs import JobEvent
from services.characters.chosen_faces import trainings_of_the_face
from services.characters.policies import Policies

ANOTHER_FACE = "another face was chosen since it was asked for"

KEPT = 20
"""So many trainings of a character are remembered."""


def heard_of_training(
    record: CharacterRecord, event: JobEvent, policies: Policies
) -> tuple[dict[str, Any], Sequence[Message]]:
    """The fields of the record that change, and what is to be said.

    Trainings are in the order in which they were asked for: one that ends late does not replace
    the LoRA of one that was asked for after it, and one that fails takes no LoRA away.
    """
    known = next((each for each in record.trainings if each.job_id == event.job_id), _begun(event))
    if known.state != "training":
        return {}, ()
    after = _moved(known, event, policies)
    others = (each for each in record.trainings if each.job_id != event.job_id)
    trainings = tuple(sorted((*others, after), key=lambda each: (each.requested_at, each.job_id)))[-KEPT:]
    fields: dict[str, Any] = {"trainings": trainings}
    fields |= standing(record.model_copy(update=fields))
    lora = fields["character"].lora
    about = {name: getattr(event, name) for name in ("character_id", "job_id", "tenant", "chain_id", "at")}
    if after.state == "ready" and lora:
        return fields, (LoraReady(**about, lora=lora),)
    if after.state != "training":
        return fields, (LoraFailed(**about, reason=after.error or ANOTHER_FACE),)
    return fields, ()


def standing(record: CharacterRecord) -> dict[str, Any]:
    """What the trainings on the present face come to; what was trained on another does not count."""
    trainings = trainings_of_the_face(record)
    others = {each.lora.key for each in record.trainings if each.lora and each not in trainings}
    loras = [each.lora for each in trainings if each.lora]
    told = record.character.lora
    lora = loras[-1] if loras else None if told and told.key in others else told
    runs = any(each.state == "training" for each in trainings)
    newest = trainings[-1] if trainings and not runs else None
    failed_at = (each.failed_at for each in trainings if each.failed_at)
    return {
        "character": record.character.model_copy(update={"lora": lora}),
        "lora_state": "training" if runs else newest.state if newest else "none",
        "lora_error": newest.error if newest else None,
        "lora_failed_at": max(failed_at, default=None) if newest else None,
    }


def _begun(event: JobEvent) -> Training:
    asked_ago = timedelta(milliseconds=round(1000 * event.elapsed_seconds))
    return Training(job_id=event.job_id, chain_id=event.chain_id, requested_at=event.at - asked_ago)


def _moved(training: Training, event: JobEvent, policies: Policies) -> Training:
    stored = event.image.lora if event.image else None
    if stored is not None:
        return training.model_copy(update={"state": "ready", "lora": policies.lora_of(stored)})
    if event.event == "failed":
        why = f"{event.error.code}: {event.error.message}" if event.error else "no reason is known"
        return training.model_copy(update={"state": "failed", "error": why, "failed_at": event.at})
    return training
