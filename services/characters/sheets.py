"""Which sheet of a character counts, and whether a sheet by itself is trained on. Pure."""

from contracts.characters import CharacterRecord, Sheet
from contracts.generation import GenerationRequested
from contracts.jobs import CharacterSheetCompleted
from services.characters.asking import job_id_of, training_on
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import with_trigger


def sheet_told_by(completed: CharacterSheetCompleted) -> Sheet:
    """What a record keeps of a sheet: its captions with the trigger word in them."""
    told = {name: getattr(completed, name) for name in Sheet.model_fields}
    captions = (with_trigger(caption, completed.character_id) for caption in completed.captions)
    return Sheet.model_validate(told | {"captions": tuple(captions)})


def newer(known: Sheet | None, sheet: Sheet) -> Sheet:
    """The newest sheet counts. What a chain draws again is added to what the chain has drawn before."""
    if known is None:
        return sheet
    older, newer = sorted((known, sheet), key=lambda each: (each.at, each.job_id))
    if known.chain_id is None or known.chain_id != sheet.chain_id:
        return newer
    images = _by_label(older) | _by_label(newer)
    merged = {
        "images": tuple(image for image, _ in images.values()),
        "labels": tuple(images),
        "captions": tuple(caption for _, caption in images.values()),
    }
    return newer.model_copy(update=merged)


def _by_label(sheet: Sheet) -> dict[str, tuple[str, str]]:
    labels = sheet.labels or sheet.images
    captions = sheet.captions or ("",) * len(sheet.images)
    return {
        label: (image, caption) for label, image, caption in zip(labels, sheet.images, captions, strict=False)
    }


def starts_training(
    record: CharacterRecord, completed: CharacterSheetCompleted, policy: TrainingPolicy
) -> bool:
    """Whether a sheet that nobody asked to be trained on is trained on all the same."""
    when = policy.after_sheets_outside_chains
    if completed.chain_id is not None or len(completed.images) < policy.least_images:
        return False
    has_one = record.character.lora is not None or record.lora_state == "training"
    return when == "always" or (when == "first" and not has_one)


def training_of(completed: CharacterSheetCompleted, policy: TrainingPolicy) -> GenerationRequested:
    """The training on a sheet that is part of no chain."""
    return GenerationRequested(
        job_id=job_id_of(completed.job_id, "lora_training"),
        tenant=completed.tenant,
        user_id=completed.user_id,
        request=training_on(
            completed.images,
            completed.captions,
            character_id=completed.character_id,
            policy=policy,
        ),
    )
