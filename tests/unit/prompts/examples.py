"""Example requests and characters."""

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from contracts.characters import Appearance, Character, Identity, Lora
from contracts.generation import GenerationPlanned, GenerationRejected, GenerationRequested
from contracts.requests import GenerationRequest
from prompts.catalogue import default_catalogue
from prompts.planner import plan

JOB = "0190a6a0-0000-7000-8000-000000000001"
CHARACTER = "0190a6a0-0000-7000-8000-0000000000c1"
BASE_IMAGE = "0190a6a0-0000-7000-8000-0000000000b1/0"
IMAGES = tuple(f"0190a6a0-0000-7000-8000-0000000000a1/{index}" for index in range(7))
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

MIA = Character(
    name="Mia",
    age="twenty-seven",
    appearance=Appearance(
        gender="female",
        ethnicity="Japanese",
        hair_color="black",
        hair_style="long wavy",
        eye_color="green",
        details="freckles",
    ),
    identity=Identity(occupation="chef", personality="cheerful"),
)
LORA = Lora(key="acme/loras/mia.safetensors", trigger_word="mia_tok")
STORED_MIA = MIA.model_copy(update={"trigger_word": LORA.trigger_word})
MIA_WITH_FACE = MIA.model_copy(update={"base_image_id": BASE_IMAGE})
MIA_WITH_LORA = MIA_WITH_FACE.model_copy(update={"lora": LORA})

_REQUEST: TypeAdapter[GenerationRequest] = TypeAdapter(GenerationRequest)


def requested(type_: str = "studio", **request: Any) -> GenerationRequested:
    """Return a request of a type, by default for the character Mia."""
    needed: dict[str, Any] = {"type": type_}
    if type_ == "lora_training":
        needed |= {"character_id": CHARACTER, "images": IMAGES, "trigger_word": "mia_tok"}
    elif "character_id" not in request:
        needed["character"] = MIA
    if type_ == "character_sheet":
        needed["base_image_id"] = BASE_IMAGE
    if type_ == "profile_pictures":
        needed["set_id"] = "classic"
    return GenerationRequested(
        job_id=JOB,
        tenant="acme",
        user_id="u1",
        request=_REQUEST.validate_python(needed | request),
    )


def planned(type_: str = "studio", *, stored: Character | None = None, **request: Any) -> GenerationPlanned:
    """Return the plan of an acceptable request."""
    made = _plan(requested(type_, **request), stored or (MIA if type_ == "lora_training" else None))
    assert isinstance(made, GenerationPlanned), made
    return made


def reasons(type_: str = "studio", *, stored: Character | None = None, **request: Any) -> dict[str, str]:
    """Return the reasons of a rejected request: messages by field."""
    made = _plan(requested(type_, **request), stored)
    assert isinstance(made, GenerationRejected), made
    return {reason.field: reason.message for reason in made.reasons}


def _plan(request: GenerationRequested, stored: Character | None) -> GenerationPlanned | GenerationRejected:
    return plan(request, character=stored, requested_at=AT, catalogue=default_catalogue())
