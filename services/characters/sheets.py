"""Which sheet of a character counts, and whether a sheet by itself is trained on. Pure."""

from collections.abc import Sequence

from contracts.characters import CharacterRecord, Sheet
from contracts.generation import GenerationRequested
from contracts.jobs import CharacterSheetCompleted
from services.characters.job_requests import job_id_of, training_on
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import with_trigger

KEPT = 20
"""So many parts of a character's sheet are remembered."""


class SheetPart(Sheet):
    """What one job drew of a sheet."""

    partial: bool = False


def with_part(
    parts: Sequence[SheetPart], known: Sheet | None, completed: CharacterSheetCompleted
) -> tuple[SheetPart, ...]:
    """What is known of the newest sheet and of its older ones, in the order in which it was drawn."""
    if not parts and known:
        parts = (SheetPart.model_validate(known.model_dump()),)
    told = _told_by(completed)
    others = (part for part in parts if part.job_id != told.job_id)
    return tuple(sorted((*others, told), key=lambda part: (part.at, part.job_id))[-KEPT:])


def _told_by(completed: CharacterSheetCompleted) -> SheetPart:
    """With the trigger word in the captions."""
    told = {name: getattr(completed, name) for name in SheetPart.model_fields}
    captions = (with_trigger(caption, completed.character_id) for caption in completed.captions)
    return SheetPart.model_validate(told | {"captions": tuple(captions)})


def sheet_of_parts(parts: Sequence[SheetPart]) -> Sheet:
    """The newest sheet counts. Poses that were drawn again after it are added, as is what its chain drew."""
    sheet: Sheet | None = None
    for part in parts:
        newest = Sheet.model_validate(part.model_dump())
        of_its_chain = sheet and part.chain_id and part.chain_id == sheet.chain_id
        sheet = _joined(sheet, newest) if sheet and (part.partial or of_its_chain) else newest
    assert sheet is not None, "there is a part that was just told"
    return sheet


def _joined(sheet: Sheet, newest: Sheet) -> Sheet:
    images = _by_label(sheet) | _by_label(newest)
    merged = {
        "images": tuple(image for image, _ in images.values()),
        "labels": tuple(images),
        "captions": tuple(caption for _, caption in images.values()),
    }
    return newest.model_copy(update=merged)


def _by_label(sheet: Sheet) -> dict[str, tuple[str, str]]:
    labels = sheet.labels or sheet.images
    captions = sheet.captions or ("",) * len(sheet.images)
    return {
        label: (image, caption) for label, image, caption in zip(labels, sheet.images, captions, strict=False)
    }


def starts_training(
    record: CharacterRecord, sheet: Sheet, completed: CharacterSheetCompleted, policy: TrainingPolicy
) -> bool:
    """Whether a sheet that nobody asked to be trained on is trained on all the same."""
    when = policy.after_sheets_outside_chains
    if completed.chain_id is not None or len(sheet.images) < policy.least_images or sheet == record.sheet:
        return False
    has_one = record.character.lora is not None or record.lora_state == "training"
    return when == "always" or (when == "first" and not has_one)


def training_of(
    sheet: Sheet, completed: CharacterSheetCompleted, policy: TrainingPolicy
) -> GenerationRequested:
    """The training on a sheet whose newest images are part of no chain."""
    return GenerationRequested(
        job_id=job_id_of(completed.job_id, "lora_training"),
        tenant=completed.tenant,
        user_id=completed.user_id,
        request=training_on(
            sheet.images,
            sheet.captions,
            character_id=completed.character_id,
            policy=policy,
        ),
    )
