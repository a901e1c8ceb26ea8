"""The sheet of a character, and whether it starts a training outside chains. Pure."""

from collections.abc import Sequence

from contracts.characters import CharacterRecord, Sheet
from contracts.generation import GenerationRequested
from contracts.jobs import CharacterSheetCompleted
from services.characters.job_requests import job_id_of, training_on
from services.characters.policies import TrainingPolicy
from services.characters.trigger_words import with_trigger

MAX_PARTS = 20
"""Number of parts of a sheet that a record keeps."""


class SheetPart(Sheet):
    """The part of a sheet that one job drew."""

    partial: bool = False


def with_part(
    parts: Sequence[SheetPart], known: Sheet | None, completed: CharacterSheetCompleted
) -> tuple[SheetPart, ...]:
    """Return the parts of the newest sheet and of older ones, in the order in which they were drawn."""
    if not parts and known:
        parts = (SheetPart.model_validate(known.model_dump()),)
    new = _part_of(completed)
    others = (part for part in parts if part.job_id != new.job_id)
    return tuple(sorted((*others, new), key=lambda part: (part.at, part.job_id))[-MAX_PARTS:])


def _part_of(completed: CharacterSheetCompleted) -> SheetPart:
    """Return the part that a job drew, with the trigger word in the captions."""
    captions = (with_trigger(caption, completed.character_id) for caption in completed.captions)
    return SheetPart(
        job_id=completed.job_id,
        chain_id=completed.chain_id,
        images=completed.images,
        labels=completed.labels,
        captions=tuple(captions),
        at=completed.at,
        partial=completed.partial,
    )


def sheet_of_parts(parts: Sequence[SheetPart]) -> Sheet:
    """Return the newest sheet, with the poses drawn again after it and those of its chain."""
    sheet: Sheet | None = None
    for part in parts:
        newest = Sheet.model_validate(part.model_dump())
        of_its_chain = sheet and part.chain_id and part.chain_id == sheet.chain_id
        sheet = _joined(sheet, newest) if sheet and (part.partial or of_its_chain) else newest
    assert sheet is not None, "there is at least the new part"
    return sheet


def _joined(sheet: Sheet, newest: Sheet) -> Sheet:
    images = _by_label(sheet) | _by_label(newest)
    return Sheet(
        job_id=newest.job_id,
        chain_id=newest.chain_id,
        images=tuple(image for image, _ in images.values()),
        labels=tuple(images),
        captions=tuple(caption for _, caption in images.values()),
        at=newest.at,
    )


def _by_label(sheet: Sheet) -> dict[str, tuple[str, str]]:
    labels = sheet.labels or sheet.images
    captions = sheet.captions or ("",) * len(sheet.images)
    return {
        label: (image, caption) for label, image, caption in zip(labels, sheet.images, captions, strict=False)
    }


def starts_training(
    record: CharacterRecord, sheet: Sheet, completed: CharacterSheetCompleted, policy: TrainingPolicy
) -> bool:
    """Return whether the policy trains on a sheet although no request asks for it."""
    when = policy.after_sheets_outside_chains
    if completed.chain_id is not None or len(sheet.images) < policy.least_images or sheet == record.sheet:
        return False
    has_one = record.character.lora is not None or record.lora_state == "training"
    return when == "always" or (when == "first" and not has_one)


def training_of(
    sheet: Sheet, completed: CharacterSheetCompleted, policy: TrainingPolicy
) -> GenerationRequested:
    """Return the request to train on a sheet outside chains."""
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
