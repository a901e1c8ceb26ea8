"""What is asked of the prompt-builder: sheets, trainings and pictures of stored characters. Pure."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from contracts.base import AssetId
from contracts.chains import BaseImageSelected
from contracts.generation import GenerationRequested
from contracts.requests import CharacterSheetRequest, LoraTrainingRequest, TrainingFollowUp
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import trigger_word, with_trigger


def job_id_of(cause: str, *parts: object) -> str:
    """The id of a job that something else causes: the same whenever it is worked out."""
    return str(uuid5(UUID(cause), "/".join(map(str, parts))))


def sheet_of(selected: BaseImageSelected) -> GenerationRequested:
    """A selection is short for this request: a sheet, and what is to follow it."""
    return GenerationRequested(
        job_id=selected.chain_id,
        tenant=selected.tenant,
        user_id=selected.user_id,
        request=CharacterSheetRequest(
            character_id=selected.character_id,
            base_image_id=selected.base_image_id,
            include_nsfw=selected.include_nsfw,
        ),
        requested_at=selected.selected_at,
        notify=selected.notify,
        then=selected.then or (TrainingFollowUp(),),
        chain_id=selected.chain_id,
    )


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
