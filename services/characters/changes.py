"""Typed copies of characters and chains: a wrong field or value does not pass the type check. Pure."""

from datetime import datetime
from typing import Literal, TypedDict, TypeVar, Unpack

from contracts.base import AssetId
from contracts.chains import Chain, ChainImage, ChainState, ChainStep, ChainTry, StepState
from contracts.characters import Character, CharacterRecord, ChosenFace, Lora, Sheet, Training
from contracts.generation import Notify
from contracts.jobs import JobError
from contracts.requests import GenerationRequest

C = TypeVar("C", bound=Chain)
R = TypeVar("R", bound=CharacterRecord)
LoraState = Literal["none", "training", "ready", "failed"]


class TryChanges(TypedDict, total=False):
    """Fields of a try that change."""

    poses: tuple[int, ...]
    state: Literal["running", "completed", "failed", "cancelled"]
    images: tuple[ChainImage, ...]
    error: JobError | None
    ended_at: datetime | None


class StepChanges(TypedDict, total=False):
    """Fields of a chain's step that change."""

    state: StepState
    tries: tuple[ChainTry, ...]
    images: tuple[AssetId, ...]
    error: JobError | None


class ChainChanges(TypedDict, total=False):
    """Fields of a chain that change."""

    user_id: str | None
    character_id: str | None
    request: GenerationRequest | None
    notify: Notify
    state: ChainState
    steps: tuple[ChainStep, ...]
    early: tuple[ChainTry, ...]
    cancelled_at: datetime | None
    cancel_reason: str
    resumed_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


class CharacterChanges(TypedDict, total=False):
    """Fields of a description that change."""

    base_image_id: AssetId | None
    lora: Lora | None
    trigger_word: str | None


class TrainingChanges(TypedDict, total=False):
    """Fields of a training that change."""

    state: Literal["training", "ready", "failed"]
    lora: Lora | None
    error: str | None
    failed_at: datetime | None


class LoraStatus(TypedDict):
    """The fields of a record that follow from its trainings."""

    character: Character
    lora_state: LoraState
    lora_error: str | None
    lora_failed_at: datetime | None


class RecordChanges(TypedDict, total=False):
    """Fields of a character's record that change."""

    character: Character
    selected_at: datetime | None
    faces: tuple[ChosenFace, ...]
    sheet: Sheet | None
    trainings: tuple[Training, ...]
    lora_state: LoraState
    lora_error: str | None
    lora_failed_at: datetime | None
    updated_at: datetime


def with_try(attempt: ChainTry, **changes: Unpack[TryChanges]) -> ChainTry:
    """Return a try with other values."""
    return attempt.model_copy(update={**changes})


def with_step(step: ChainStep, **changes: Unpack[StepChanges]) -> ChainStep:
    """Return a step with other values."""
    return step.model_copy(update={**changes})


def with_chain(chain: C, **changes: Unpack[ChainChanges]) -> C:
    """Return a chain with other values."""
    return chain.model_copy(update={**changes})


def with_character(character: Character, **changes: Unpack[CharacterChanges]) -> Character:
    """Return a description with other values."""
    return character.model_copy(update={**changes})


def with_training(training: Training, **changes: Unpack[TrainingChanges]) -> Training:
    """Return a training with other values."""
    return training.model_copy(update={**changes})


def with_record(record: R, **changes: Unpack[RecordChanges]) -> R:
    """Return a record with other values."""
    return record.model_copy(update={**changes})
