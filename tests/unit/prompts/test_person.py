"""Characters in words."""

import pytest

from contracts.characters import Appearance, Character, Identity
from prompts.builder import PromptBuilder


def _says(**appearance: str) -> str:
    character = Character(name="Kim", age=30, appearance=Appearance.model_validate(appearance))
    return PromptBuilder().add_character(character).build().prompt


@pytest.mark.parametrize(
    ("gender", "person"),
    [
        ("female", "30-year-old woman"),
        ("Male", "30-year-old man"),
        ("girl", "30-year-old woman"),
        ("boy", "30-year-old man"),
        ("trans woman", "30-year-old trans woman"),
        ("non-binary", "30-year-old non-binary adult"),
        ("nonbinary", "30-year-old non-binary adult"),
        ("", "30-year-old adult"),
        ("nude female", "30-year-old woman"),
    ],
)
def test_a_person_is_always_an_adult_in_years(gender: str, person: str) -> None:
    assert _says(gender=gender) == person


@pytest.mark.parametrize(
    ("style", "color", "hair"),
    [
        ("long wavy", "black", "long wavy black hair"),
        ("ponytail", "black", "black ponytail"),
        ("pixie cut", "", "pixie cut"),
        ("", "auburn hair", "auburn hair"),
        ("short hair", "red", "short red hair"),
        ("curly hair", "", "curly hair"),
        ("bald", "", "bald"),
    ],
)
def test_hair_is_said_once(style: str, color: str, hair: str) -> None:
    assert _says(hair_style=style, hair_color=color) == f"30-year-old adult, {hair}"


def test_every_trait_gets_the_noun_it_lacks() -> None:
    assert _says(skin_tone="olive", eye_color="brown eyes", face="round", body_type="slim figure") == (
        "30-year-old adult, olive skin, brown eyes, round face, slim figure"
    )


def test_identity_colours_the_picture_only_where_nothing_else_does() -> None:
    character = Character(name="Kim", age=30, identity=Identity(occupation="baker", personality="shy"))
    builder = PromptBuilder().add_character(character)
    assert builder.build().prompt == "30-year-old adult, shy expression, baker by profession"
    shot = builder.add_shot("close-up", expression="broad grin").build().prompt
    assert shot == "30-year-old adult, close-up, broad grin"


def test_the_name_is_never_drawn() -> None:
    assert "Kim" not in _says(details="freckles")
