"""Typed copies of the parts of a job: a wrong field or value does not pass the type check. Pure."""

from datetime import datetime
from typing import Literal, TypedDict, Unpack

from contracts.base import AssetId, Text
from contracts.characters import Lora
from contracts.generation import RenderSpec
from contracts.jobs import Attempt, JobError, Render, RenderState
from contracts.renders import StoredImage, StoredLora


class SpecChanges(TypedDict, total=False):
    """Fields of a render's specification that change."""

    prompt: str
    tag_prompt: str
    negative_prompt: str
    caption: str
    lora: Lora | None
    training_images: tuple[AssetId, ...]
    captions: tuple[Text, ...]


class RenderChanges(TypedDict, total=False):
    """Fields of a render that change."""

    spec: RenderSpec
    state: RenderState
    percent: int | None
    queue_position: int | None
    retry_at: datetime | None
    attempts: tuple[Attempt, ...]
    stored: StoredImage | None
    lora: StoredLora | None
    error: JobError | None


class AttemptChanges(TypedDict, total=False):
    """Fields of an attempt that change."""

    outcome: Literal["open", "succeeded", "failed", "cancelled"]
    error: JobError | None
    retryable: bool
    billed: Literal["yes", "no", "unknown"] | None
    cost_usd: float | None


def with_spec(spec: RenderSpec, **changes: Unpack[SpecChanges]) -> RenderSpec:
    """Return a specification with other values."""
    return spec.model_copy(update={**changes})


def with_render(render: Render, **changes: Unpack[RenderChanges]) -> Render:
    """Return a render with other values."""
    return render.model_copy(update={**changes})


def with_attempt(attempt: Attempt, **changes: Unpack[AttemptChanges]) -> Attempt:
    """Return an attempt with other values."""
    return attempt.model_copy(update={**changes})
