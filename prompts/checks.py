"""Rules that reject requests. Each reason has the path of its field."""

from collections.abc import Iterator
from typing import Final, TypeGuard

from pydantic import BaseModel

from contracts.captions import fill_trigger_word
from contracts.characters import Character
from contracts.generation import GenerationRequested, Reason
from contracts.object_keys import is_of_tenant
from contracts.requests import (
    CharacterSheetRequest,
    GenerationRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    RequestBase,
    StudioRequest,
    captions_error,
    images_error,
)
from contracts.wording import shown
from contracts.workflows import CHECKPOINT_ENDINGS, WORKFLOW_PROVIDERS, is_checkpoint
from prompts.adults import (
    ADULT_AGE,
    AgeNotUnderstood,
    NotAnAdult,
    age_in_years,
    find_minor,
)
from prompts.catalogue import Catalogue
from prompts.explicit import find_explicit
from prompts.workflows import workflow_reasons

OLDEST: Final = 120
LONGEST_CAPTION: Final = 4000
_CHOICES = {"type", "mode", "aspect", "provider", "providers", "model", "workflow", "set_id", "base_model"}
_IDS = {"images", "character_id", "base_image_id", "key"}
_NEVER_DRAWN = {"name", "backstory", "hobbies"}
_NO_WORDING = frozenset(_CHOICES | _IDS | _NEVER_DRAWN | {"negative_prompt", "age"})
"""Fields whose text is not part of a prompt, or is checked elsewhere."""


def rejection_reasons(
    request: GenerationRequest, character: Character | None, catalogue: Catalogue
) -> tuple[Reason, ...]:
    """Return all reasons to reject a request for this character. Empty if it is acceptable."""
    found = [*_person(request, character), *_minors(request, character, catalogue)]
    if isinstance(request, RequestBase) and request.workflow is not None:
        found += workflow_reasons(request.workflow, include_nsfw=request.include_nsfw, catalogue=catalogue)
    if isinstance(request, RequestBase):
        found += _routing(request)
    if isinstance(request, StudioRequest) and character:
        found += _mode(request, character)
    if isinstance(request, ProfilePicturesRequest):
        found += _set(request, catalogue)
    if isinstance(request, CharacterSheetRequest):
        found += _only(request)
    if isinstance(request, LoraTrainingRequest):
        found += _training(request)
    found += _trigger(request, character, catalogue)
    return tuple(found)


def waits_for_lora(request: GenerationRequest, character: Character) -> TypeGuard[StudioRequest]:
    """Return whether a request must wait for the character's LoRA before anything is rendered."""
    if not isinstance(request, StudioRequest) or request.mode == "face_swap":
        return False
    return request.wait_for_lora and character.lora is None


def missing_character_reason(request: GenerationRequest) -> Reason:
    """Return the reason for a request whose character does not exist."""
    character_id = getattr(request, "character_id", None)
    return Reason(field="request.character_id", message=f"character {character_id} does not exist")


def lora_reasons(requested: GenerationRequested) -> tuple[Reason, ...]:
    """Return the reason for an inline character whose LoRA does not belong to the tenant, if any."""
    lora = getattr(getattr(requested.request, "character", None), "lora", None)
    if lora is None or is_of_tenant(lora.key, requested.tenant):
        return ()
    message = f"must be the key of a LoRA of this tenant, '{requested.tenant}/…', got {shown(lora.key)}"
    return (Reason(field="request.character.lora.key", message=message),)


def _person(request: GenerationRequest, character: Character | None) -> Iterator[Reason]:
    if character is None:
        yield missing_character_reason(request)
        return
    try:
        age = age_in_years(character.age)
    except AgeNotUnderstood as error:
        yield Reason(field="request.character.age", message=str(error))
        return
    if age < ADULT_AGE:
        message = f"must be at least {ADULT_AGE}, is {age}; only adults can be drawn"
        yield Reason(field="request.character.age", message=message)
    elif age > OLDEST:
        message = f"must be at most {OLDEST}, is {age}"
        yield Reason(field="request.character.age", message=message)


def _minors(
    request: GenerationRequest, character: Character | None, catalogue: Catalogue
) -> Iterator[Reason]:
    texts = dict(_texts(request, "request"))
    if character:
        texts |= dict(_texts(character, "request.character"))
    for path, text in texts.items():
        if found := find_minor(text, catalogue.underage):
            yield Reason(field=path, message=str(NotAnAdult(found)))


def _texts(model: BaseModel, path: str) -> Iterator[tuple[str, str]]:
    """Yield all texts of a model that may be part of a prompt, each with its path."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name in _NO_WORDING:
            continue
        if isinstance(value, str):
            yield f"{path}.{name}", value
        elif isinstance(value, BaseModel):
            yield from _texts(value, f"{path}.{name}")
        elif isinstance(value, tuple):
            texts = ((f"{path}.{name}.{at}", text) for at, text in enumerate(value))
            yield from ((inner, text) for inner, text in texts if isinstance(text, str))


def _mode(request: StudioRequest, character: Character) -> Iterator[Reason]:
    if waits_for_lora(request, character):
        if request.character_id is None:
            message = "requires a stored character; set 'character_id' instead of 'character'"
            yield Reason(field="request.wait_for_lora", message=message)
    elif request.mode == "lora" and character.lora is None:
        message = "the character has no LoRA; use 'auto' or 'face_swap', or train one first"
        yield Reason(field="request.mode", message=message)
    elif request.mode == "face_swap" and character.base_image_id is None:
        message = "is required for mode 'face_swap'"
        yield Reason(field="request.character.base_image_id", message=message)


def _routing(request: RequestBase) -> Iterator[Reason]:
    """Yield reasons for combinations of provider, model and workflow that exclude each other."""
    if request.workflow is not None and request.model is not None:
        yield Reason(
            field="request.model", message="must be left out with a workflow, which names its own models"
        )
    if request.workflow is not None and request.provider not in (None, *WORKFLOW_PROVIDERS):
        able = " or ".join(WORKFLOW_PROVIDERS)
        yield Reason(
            field="request.provider", message=f"{request.provider} does not support workflows; use {able}"
        )
    elif request.provider == "comfyui" and request.model and not is_checkpoint(request.model):
        endings = ", ".join(CHECKPOINT_ENDINGS)
        message = f"must be a checkpoint of the ComfyUI server, a file name that ends in one of {endings}"
        yield Reason(field="request.model", message=message)


def _set(request: ProfilePicturesRequest, catalogue: Catalogue) -> Iterator[Reason]:
    if catalogue.profile_set(request.set_id) is None:
        known = ", ".join(known.id for known in catalogue.profile_sets)
        message = f"unknown set {request.set_id[:100]!r}; known sets: {known}"
        yield Reason(field="request.set_id", message=message)


def _only(request: CharacterSheetRequest) -> Iterator[Reason]:
    for at, place in enumerate(request.only):
        field = f"request.only.{at}"
        if place >= request.count:
            message = f"must be less than count {request.count}, is {place}; counted from 0"
            yield Reason(field=field, message=message)
        elif place in request.only[:at]:
            yield Reason(field=field, message=f"image {place} is requested twice")


def _training(request: LoraTrainingRequest) -> Iterator[Reason]:
    if fault := images_error(request.images):
        yield Reason(field="request.images", message=fault)
    if fault := captions_error(request.captions, request.images):
        yield Reason(field="request.captions", message=fault)
    for place, caption in enumerate(request.captions):
        if len(fill_trigger_word(caption, request.trigger_word)) > LONGEST_CAPTION:
            message = f"must have at most {LONGEST_CAPTION} characters with the trigger word filled in"
            yield Reason(field=f"request.captions.{place}", message=message)


def _trigger(
    request: GenerationRequest, character: Character | None, catalogue: Catalogue
) -> Iterator[Reason]:
    """Check the trigger word. It is used unchanged in prompts, so it must not be explicit."""
    allowed = False
    if isinstance(request, LoraTrainingRequest):
        field, word = "request.trigger_word", request.trigger_word
    elif character and character.lora and not request.include_nsfw:
        field, word = "request.character.lora.trigger_word", character.lora.trigger_word
    elif character and waits_for_lora(request, character) and request.character_id:
        field, word = "request.character.trigger_word", character.trigger_word or ""
        allowed = request.include_nsfw
    else:
        return
    if not word.strip():
        yield Reason(field=field, message="must not be empty")
    elif not allowed and find_explicit(word, catalogue.nsfw.explicit):
        yield Reason(field=field, message="must not be an explicit word")
