"""The requests that the characters service makes by itself. Pure."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from contracts.base import AssetId
from contracts.requests import LoraTrainingRequest, TrainingFollowUp
from prompts.trigger_words import trigger_word
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import with_trigger


def job_id_of(cause: str, *parts: object) -> str:
    """The id of a job that something else causes: the same whenever it is worked out."""
    return str(uuid5(UUID(cause), "/".join(map(str, parts))))


def training_on(
    images: Sequence[AssetId],
    captions: Sequence[str],
    *,
    character_id: str,
    policy: TrainingPolicy,
    wish: TrainingFollowUp | None = None,
) -> LoraTrainingRequest:
    """The training of a character's LoRA on at least `least_images` images."""
    told = captions if any(captions) else ()
    return LoraTrainingRequest(
        character_id=character_id,
        images=tuple(images[: policy.most_images]),
        captions=tuple(with_trigger(caption, character_id) for caption in told[: policy.most_images]),
        trigger_word=trigger_word(character_id),
        steps=(wish and wish.steps) or policy.steps,
        provider=wish and wish.provider,
    )
