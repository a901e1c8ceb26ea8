"""The requests that the characters service publishes on its own. Pure."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from contracts.base import AssetId
from contracts.requests import LoraTrainingRequest, TrainingFollowUp
from prompts.trigger_words import trigger_word
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import with_trigger


def job_id_of(cause: str, *parts: object) -> str:
    """Return the id of a job that follows from something else; the same for the same arguments."""
    return str(uuid5(UUID(cause), "/".join(map(str, parts))))


def training_on(
    images: Sequence[AssetId],
    captions: Sequence[str],
    *,
    character_id: str,
    policy: TrainingPolicy,
    follow_up: TrainingFollowUp | None = None,
) -> LoraTrainingRequest:
    """Return the request to train a character's LoRA on at least `least_images` images."""
    used = captions[: policy.most_images] if any(captions) else ()
    return LoraTrainingRequest(
        character_id=character_id,
        images=tuple(images[: policy.most_images]),
        captions=tuple(with_trigger(caption, character_id) for caption in used),
        trigger_word=trigger_word(character_id),
        steps=(follow_up and follow_up.steps) or policy.steps,
        provider=follow_up and follow_up.provider,
    )
