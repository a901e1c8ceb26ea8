"""The rules of a character's trainings: which LoRA it has, and what is told of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.base import Message
from contracts.chains import LoraFailed, LoraReady
from contracts.characters import CharacterRecord, Training
from contracts.jobs import JobEvent
from services.characters.policies import Policies

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
    loras = [each.lora for each in trainings if each.lora]
    lora = loras[-1] if loras else record.character.lora
    failed_at = (each.failed_at for each in trainings if each.failed_at)
    runs = any(each.state == "training" for each in trainings)
    fields = {
        "trainings": trainings,
        "character": record.character.model_copy(update={"lora": lora}),
        "lora_state": "training" if runs else trainings[-1].state,
        "lora_error": None if runs else trainings[-1].error,
        "lora_failed_at": None if runs else max(failed_at, default=None),
    }
    about = {name: getattr(event, name) for name in ("character_id", "job_id", "tenant", "chain_id", "at")}
    if after.state == "ready":
        return fields, (LoraReady(**about, lora=lora or after.lora),)
    if after.state == "failed":
        return fields, (LoraFailed(**about, reason=after.error),)
    return fields, ()


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
