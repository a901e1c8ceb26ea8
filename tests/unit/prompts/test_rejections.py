"""Rejection of requests. Every reason names its field."""

from typing import Any

import pytest

from contracts.base import AssetId
from contracts.characters import Character, Lora
from tests.unit.prompts.examples import (
    CHARACTER,
    MIA,
    MIA_WITH_FACE,
    MIA_WITH_LORA,
    planned,
    reasons,
)


def _mia(**changes: Any) -> Character:
    return Character.model_validate(MIA.model_dump() | changes)


@pytest.mark.parametrize("type_", ["studio", "character_sheet", "profile_pictures", "lora_training"])
def test_an_unknown_character_is_rejected(type_: str) -> None:
    found = reasons(type_, character_id=CHARACTER)
    assert found == {"request.character_id": f"character {CHARACTER} does not exist"}


@pytest.mark.parametrize("age", [17, "17", "seventeen", "１７", "17.9", "late teens", "XVII", "16-20", 0])
@pytest.mark.parametrize("type_", ["base_image", "studio", "character_sheet", "profile_pictures"])
def test_a_character_below_18_is_rejected(type_: str, age: int | str) -> None:
    found = reasons(type_, character=_mia(age=age))
    assert "must be at least 18" in found["request.character.age"]


def test_a_stored_character_below_18_is_rejected() -> None:
    stored = _mia(age=16)
    assert "request.character.age" in reasons(character_id=CHARACTER, stored=stored)
    assert "request.character.age" in reasons("lora_training", stored=stored)


@pytest.mark.parametrize(
    ("age", "says"),
    [("unknown", "must be an age in years"), (1998, "at most 120, is 1998"), (-1, "must be an age")],
)
def test_an_age_must_be_that_of_a_person(age: int | str, says: str) -> None:
    assert says in reasons(character=_mia(age=age))["request.character.age"]


@pytest.mark.parametrize("field", ["prompt", "scene", "outfit", "style", "quality"])
@pytest.mark.parametrize("minor", ["a teenager", "t33n", "sixteen-year-old", "schoolgirl uniform", "kid"])
def test_a_minor_in_the_request_is_rejected(field: str, minor: str) -> None:
    request: dict[str, Any] = {field: f"with {minor}"}
    found = reasons(**request)
    assert list(found) == [f"request.{field}"]
    assert "only adults can be drawn" in found[f"request.{field}"]


@pytest.mark.parametrize(
    ("character", "field"),
    [
        ({"appearance": {"body_type": "childlike"}}, "appearance.body_type"),
        ({"appearance": {"details": "looks 16 years old"}}, "appearance.details"),
        ({"appearance": {"gender": "little girl"}}, "appearance.gender"),
        ({"identity": {"occupation": "high school student"}}, "identity.occupation"),
        ({"lora": {"key": "k", "trigger_word": "loli"}}, "lora.trigger_word"),
    ],
)
def test_a_minor_in_the_character_is_rejected(character: dict[str, Any], field: str) -> None:
    assert f"request.character.{field}" in reasons(character=_mia(**character))


def test_a_minor_in_a_training_is_rejected() -> None:
    found = reasons(
        "lora_training", stored=MIA, captions=["a woman", "a toddler", *[""] * 5], trigger_word="loli"
    )
    assert list(found) == ["request.captions.1", "request.trigger_word"]


def test_fields_that_mention_a_minor_in_combination_are_rejected() -> None:
    found = reasons(scene="16", prompt="years old")
    assert "only adults" in found["request"]


def test_a_negative_prompt_may_contain_explicit_words() -> None:
    (render,) = planned(negative_prompt="child, teenager, 16 years old").renders
    assert ", 16 years old, " in render.negative_prompt


def test_all_reasons_are_reported_together() -> None:
    found = reasons(character=_mia(age=12), prompt="kids", scene="kindergartners", mode="lora")
    assert list(found) == ["request.character.age", "request.prompt", "request.scene", "request.mode"]


def test_mode_lora_requires_a_lora() -> None:
    assert "has no LoRA" in reasons(mode="lora", character=MIA_WITH_FACE)["request.mode"]


@pytest.mark.parametrize("waits", [True, False])
def test_a_face_swap_requires_a_face(waits: bool) -> None:
    found = reasons(mode="face_swap", wait_for_lora=waits)
    assert found == {"request.character.base_image_id": "is required for mode 'face_swap'"}


def test_an_unknown_set_is_rejected_with_the_known_ones() -> None:
    message = reasons("profile_pictures", set_id="vacation")["request.set_id"]
    assert message == "unknown set 'vacation'; known sets: classic, professional, social, dating, artistic"


def test_a_trigger_word_must_not_be_explicit() -> None:
    lora = Lora(key="acme/k", trigger_word="nude_mia")
    found = reasons(character=MIA_WITH_LORA.model_copy(update={"lora": lora}))
    assert found == {"request.character.lora.trigger_word": "must not be an explicit word"}
    assert "request.trigger_word" in reasons("lora_training", stored=MIA, trigger_word="porn")
    assert reasons("lora_training", stored=MIA, trigger_word=" ") == {
        "request.trigger_word": "must not be empty"
    }


def test_a_long_value_is_shortened_in_a_reason() -> None:
    found = reasons(prompt="16" + " " * 3000 + "teen")
    assert all(len(message) < 300 for message in found.values())


def test_an_asset_id_is_not_checked_for_words() -> None:
    asset: AssetId = "16161616-1616-1616-1616-161616161616/16"
    assert planned(character=_mia(base_image_id=asset)).renders[0].face == asset
