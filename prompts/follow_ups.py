"""Rules that reject follow-ups with their request, so that the chain does not fail later."""

from collections.abc import Iterator

from contracts.characters import Character
from contracts.generation import GenerationRequested, Reason
from contracts.requests import (
    CharacterSheetRequest,
    GenerationRequest,
    LoraTrainingRequest,
    ProfileFollowUp,
    ProfilePicturesRequest,
    StudioFollowUp,
    StudioRequest,
    TrainingFollowUp,
)
from prompts.adults import NotAnAdult
from prompts.catalogue import Catalogue
from prompts.checks import rejection_reasons
from prompts.renders import renders_of


def follow_up_rejection_reasons(
    requested: GenerationRequested, character: Character | None, catalogue: Catalogue
) -> tuple[Reason, ...]:
    """Return all reasons to reject the follow-ups of a request, as far as they are known now."""
    if not requested.then:
        return ()
    if not isinstance(requested.request, CharacterSheetRequest | LoraTrainingRequest):
        message = f"can follow a character_sheet or a lora_training, not {requested.request.type}"
        return (Reason(field="then", message=message),)
    return (*_misplaced(requested), *_impossible(requested, character, catalogue))


def _misplaced(requested: GenerationRequested) -> Iterator[Reason]:
    after_sheet = isinstance(requested.request, CharacterSheetRequest)
    for place, follow_up in enumerate(requested.then):
        if isinstance(follow_up, TrainingFollowUp) and not (after_sheet and place == 0):
            message = "must be the first follow-up of a character_sheet, on whose images it trains"
            yield Reason(field=f"then.{place}.type", message=message)


def _impossible(
    requested: GenerationRequested, character: Character | None, catalogue: Catalogue
) -> Iterator[Reason]:
    if isinstance(requested.request, CharacterSheetRequest) and character:
        character = character.model_copy(update={"base_image_id": requested.request.base_image_id})
    for place, follow_up in enumerate(requested.then):
        if isinstance(follow_up, TrainingFollowUp):
            continue
        later = requested.model_copy(update={"request": _as_request(follow_up, requested)})
        found = rejection_reasons(later.request, character, catalogue)
        if character and not found:
            found = _only_together(later, character, catalogue)
        yield from (_at(reason, f"then.{place}") for reason in found)


def _as_request(
    follow_up: StudioFollowUp | ProfileFollowUp, requested: GenerationRequested
) -> GenerationRequest:
    """Convert a follow-up to its future request. Its character is then stored and may have a LoRA."""
    fields = follow_up.model_dump() | {"character_id": requested.character_id}
    if isinstance(follow_up, ProfileFollowUp):
        return ProfilePicturesRequest.model_validate(fields)
    if follow_up.mode == "lora" and (follow_up.wait_for_lora or _trains(requested)):
        fields["mode"] = "auto"
    return StudioRequest.model_validate(fields | {"wait_for_lora": False})


def _trains(requested: GenerationRequested) -> bool:
    steps = (requested.request, *requested.then)
    return any(isinstance(step, LoraTrainingRequest | TrainingFollowUp) for step in steps)


def _only_together(
    later: GenerationRequested, character: Character, catalogue: Catalogue
) -> tuple[Reason, ...]:
    """Return the reason for fields that mention a minor only in combination."""
    try:
        renders_of(later, character, catalogue)
    except NotAnAdult as error:
        return (Reason(field="request", message=str(error)),)
    return ()


def _at(reason: Reason, path: str) -> Reason:
    """Add the path of the follow-up to a reason. Paths of the character stay unchanged."""
    if reason.field.startswith("request.character"):
        return reason
    return reason.model_copy(update={"field": path + reason.field.removeprefix("request")})
