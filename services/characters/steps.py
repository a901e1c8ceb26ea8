"""The steps of a chain: their order, their state and their requests. Pure."""

from collections.abc import Sequence

from contracts.base import AssetId
from contracts.chains import Chain, ChainImage, ChainStep, StepState
from contracts.jobs import JobError
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    GenerationRequest,
    LoraTrainingRequest,
    ProfileFollowUp,
    ProfilePicturesRequest,
    StudioFollowUp,
    StudioRequest,
    TrainingFollowUp,
)
from services.characters.job_requests import training_on
from services.characters.policies import Policies

NO_SHEET = JobError(
    code="no_sheet", message="a training follows a character sheet directly, on whose images it trains"
)


def depends_on(steps: Sequence[ChainStep], place: int) -> int | None:
    """Return the step that must be completed first: the last sheet or training before it, never a picture."""
    earlier = range(place - 1, -1, -1)
    return next((each for each in earlier if each == 0 or steps[each].type == "lora_training"), None)


def state_of(chain: Chain, place: int, policies: Policies) -> tuple[StepState, JobError | None]:
    """Return the state of a step, by its tries."""
    step = chain.steps[place]
    if isinstance(step.follow_up, TrainingFollowUp) and chain.steps[place - 1].type != "character_sheet":
        return "failed", NO_SHEET
    if not step.tries:
        return "waiting", None
    last = step.tries[-1]
    if not _is_done(chain, place, policies):
        return last.state, last.error
    too_few = _too_few(chain, place, policies)
    if too_few is None:
        return "completed", None
    return ("running", None) if last.state == "running" else ("failed", too_few)


def _is_done(chain: Chain, place: int, policies: Policies) -> bool:
    """Return whether a step is done: by one of its tries, or, for a sheet, by all of them together.

    Tries are judged together once none runs, so that the order of messages does not matter. A cancelled
    sheet is not done as long as an image is missing.
    """
    step = chain.steps[place]
    if any(attempt.state == "completed" for attempt in step.tries):
        return True
    sheet, last = chain.request if place == 0 else None, step.tries[-1].state
    if last == "running" or not isinstance(sheet, CharacterSheetRequest):
        return False
    wanted, missing = len(sheet.only) or sheet.count, len(_missing(sheet, step))
    return not missing or (last == "failed" and wanted - missing >= policies.sheet.min_images(wanted))


def _too_few(chain: Chain, place: int, policies: Policies) -> JobError | None:
    """Return the error of a sheet that is too small for the training after it, or None."""
    next_type = chain.steps[place + 1].type if place + 1 < len(chain.steps) else None
    least, ready = policies.training.least_images, len(images_by_pose(chain.steps[place]))
    if chain.steps[place].type != "character_sheet" or next_type != "lora_training" or ready >= least:
        return None
    message = f"{ready} images are ready; a training needs at least {least}"
    return JobError(code="too_few_images", message=message)


def images_by_pose(step: ChainStep) -> dict[int, ChainImage]:
    """Return the images of all tries of a sheet, in the order of its poses."""
    found: dict[int, ChainImage] = {}
    for attempt in step.tries:
        for image in attempt.images:
            known = image.index < len(attempt.poses)
            found.setdefault(attempt.poses[image.index] if known else image.index, image)
    return dict(sorted(found.items()))


def images_of(step: ChainStep) -> tuple[AssetId, ...]:
    """Return the images of a step so far."""
    if step.type == "character_sheet":
        return tuple(image.asset for image in images_by_pose(step).values())
    return tuple(image.asset for attempt in step.tries for image in attempt.images)


def _missing(sheet: CharacterSheetRequest, step: ChainStep) -> tuple[int, ...]:
    wanted = sorted(sheet.only or range(sheet.count))
    ready = images_by_pose(step)
    return tuple(pose for pose in wanted if pose not in ready)


def _to_draw(sheet: CharacterSheetRequest, step: ChainStep) -> tuple[int, ...]:
    """Return the missing poses; if none of the requested ones is missing, the rest of all poses."""
    ready = images_by_pose(step)
    if not ready:
        return tuple(sorted(sheet.only))
    rest = tuple(pose for pose in range(sheet.count) if pose not in ready)
    return _missing(sheet, step) or rest


def request_of(chain: Chain, place: int, policies: Policies) -> tuple[GenerationRequest, tuple[int, ...]]:
    """Return the request of the next try of a step, and the poses of a partial sheet."""
    step, about = chain.steps[place], {"character_id": chain.character_id}
    match step.follow_up:
        case TrainingFollowUp():
            return _training(chain, place, step.follow_up, policies), ()
        case StudioFollowUp():
            return StudioRequest.model_validate(step.follow_up.model_dump() | about), ()
        case ProfileFollowUp():
            return ProfilePicturesRequest.model_validate(step.follow_up.model_dump() | about), ()
    first = chain.request
    assert first is not None, "a chain has steps once its request is known"
    if isinstance(first, BaseImageRequest | LoraTrainingRequest):
        return first, ()
    stored = first.model_dump() | about | {"character": None}
    if not isinstance(first, CharacterSheetRequest):
        return type(first).model_validate(stored), ()
    poses = _to_draw(first, step)
    return CharacterSheetRequest.model_validate(stored | {"only": poses}), poses


def _training(
    chain: Chain, place: int, follow_up: TrainingFollowUp, policies: Policies
) -> LoraTrainingRequest:
    images = images_by_pose(chain.steps[place - 1]).values()
    return training_on(
        [image.asset for image in images],
        [image.caption for image in images],
        character_id=chain.character_id or chain.chain_id,
        policy=policies.training,
        follow_up=follow_up,
    )
