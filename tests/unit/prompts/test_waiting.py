"""Studio modes: LoRA, face swap, appearance only, and waiting for the LoRA."""

from itertools import product
from typing import Any

import pytest

from contracts.characters import Character
from tests.unit.prompts.examples import (
    BASE_IMAGE,
    CHARACTER,
    LORA,
    STORED_MIA,
    planned,
    reasons,
)

NOTHING = STORED_MIA
FACE = STORED_MIA.model_copy(update={"base_image_id": BASE_IMAGE})
READY = FACE.model_copy(update={"lora": LORA})
KNOWN = {"nothing": NOTHING, "face": FACE, "ready": READY}

WITH_LORA, WITH_FACE, WITH_LOOKS, WAITS = "its LoRA", "its face", "its looks", "waits"
NO_LORA, NO_FACE = "request.mode", "request.character.base_image_id"
EXPECTED = {
    ("auto", "ready", False): WITH_LORA,
    ("auto", "face", False): WITH_FACE,
    ("auto", "nothing", False): WITH_LOOKS,
    ("auto", "ready", True): WITH_LORA,
    ("auto", "face", True): WAITS,
    ("auto", "nothing", True): WAITS,
    ("lora", "ready", False): WITH_LORA,
    ("lora", "face", False): NO_LORA,
    ("lora", "nothing", False): NO_LORA,
    ("lora", "ready", True): WITH_LORA,
    ("lora", "face", True): WAITS,
    ("lora", "nothing", True): WAITS,
    ("face_swap", "ready", False): WITH_FACE,
    ("face_swap", "face", False): WITH_FACE,
    ("face_swap", "nothing", False): NO_FACE,
    ("face_swap", "ready", True): WITH_FACE,
    ("face_swap", "face", True): WITH_FACE,
    ("face_swap", "nothing", True): NO_FACE,
}


def test_every_mode_is_tested() -> None:
    assert set(EXPECTED) == set(product(("auto", "lora", "face_swap"), KNOWN, (False, True)))


def asked(mode: str, known: str, wait: bool) -> dict[str, Any]:
    return {
        "mode": mode,
        "wait_for_lora": wait,
        "character_id": CHARACTER,
        "stored": KNOWN[known],
        "scene": "beach",
        "count": 2,
    }


@pytest.mark.parametrize(("case", "how"), [case for case in EXPECTED.items() if " " in case[1]])
def test_a_stored_character_is_drawn_according_to_its_mode(case: tuple[str, str, bool], how: str) -> None:
    plan = planned(**asked(*case))
    assert not plan.waits_for_lora
    for render in plan.renders:
        assert render.lora == (LORA if how == WITH_LORA else None)
        assert render.face == (BASE_IMAGE if how == WITH_FACE else None)
        assert render.prompt.startswith("mia_tok, ") == (how == WITH_LORA)


@pytest.mark.parametrize("case", [case for case, how in EXPECTED.items() if how == WAITS])
def test_a_waiting_plan_has_the_trigger_word_but_no_lora_and_no_face(
    case: tuple[str, str, bool],
) -> None:
    plan = planned(**asked(*case))
    assert plan.waits_for_lora
    assert len(plan.renders) == 2
    for render in plan.renders:
        assert render.prompt.startswith("mia_tok, a 27-year-old")
        assert (render.lora, render.face, render.reference) == (None, None, None)


@pytest.mark.parametrize("mode", ["auto", "lora"])
def test_a_waiting_plan_has_the_prompts_of_a_plan_with_the_lora(mode: str) -> None:
    waits, ready = (planned(**asked(mode, known, True)).renders for known in ("face", "ready"))
    assert [render.model_copy(update={"lora": LORA}) for render in waits] == list(ready)


@pytest.mark.parametrize(("case", "field"), [case for case in EXPECTED.items() if "." in case[1]])
def test_a_missing_requirement_of_the_mode_is_reported(case: tuple[str, str, bool], field: str) -> None:
    assert list(reasons(**asked(*case))) == [field]


@pytest.mark.parametrize("mode", ["auto", "lora"])
@pytest.mark.parametrize("character", [NOTHING, FACE])
def test_an_inline_character_cannot_wait_for_a_lora(mode: str, character: Character) -> None:
    found = reasons(mode=mode, character=character, wait_for_lora=True)
    assert found == {
        "request.wait_for_lora": "requires a stored character; set 'character_id' instead of 'character'"
    }


def test_a_request_with_a_lora_does_not_wait() -> None:
    plan = planned(mode="lora", character=READY, wait_for_lora=True)
    assert not plan.waits_for_lora
    assert plan.renders[0].lora == LORA


@pytest.mark.parametrize(
    ("word", "message"), [(None, "must not be empty"), ("nude_mia", "must not be an explicit word")]
)
def test_the_trigger_word_of_a_future_lora_must_be_allowed_in_prompts(word: str | None, message: str) -> None:
    stored = FACE.model_copy(update={"trigger_word": word})
    found = reasons(character_id=CHARACTER, stored=stored, wait_for_lora=True)
    assert found == {"request.character.trigger_word": message}


def test_an_explicit_trigger_word_is_accepted_with_permission() -> None:
    stored = FACE.model_copy(update={"trigger_word": "nude_mia"})
    plan = planned(character_id=CHARACTER, stored=stored, wait_for_lora=True, include_nsfw=True)
    assert plan.renders[0].prompt.startswith("nude_mia, ")


@pytest.mark.parametrize("type_", ["character_sheet", "profile_pictures", "lora_training"])
def test_no_other_type_waits_for_a_lora(type_: str) -> None:
    assert not planned(type_, stored=FACE, character_id=CHARACTER).waits_for_lora
