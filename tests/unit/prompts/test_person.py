"""Descriptions of characters."""

from itertools import pairwise

import pytest

from contracts.base import Model
from contracts.characters import Appearance, Character, Identity
from contracts.wizard import offered_values
from prompts.adults import find_minor
from prompts.builder import PromptBuilder
from prompts.catalogue import default_catalogue, entry_of
from prompts.dialects import MAX_WORDS
from prompts.wording import word_count


def _says(**appearance: str) -> str:
    character = Character(name="Kim", age=30, appearance=Appearance.model_validate(appearance))
    return PromptBuilder().add_character(character).build().prompt


@pytest.mark.parametrize(
    ("gender", "person"),
    [
        ("female", "A 30-year-old woman."),
        ("Male", "A 30-year-old man."),
        ("girl", "A 30-year-old woman."),
        ("boy", "A 30-year-old man."),
        ("trans woman", "A 30-year-old trans woman."),
        ("non-binary", "A 30-year-old non-binary adult."),
        ("nonbinary", "A 30-year-old non-binary adult."),
        ("", "A 30-year-old adult."),
        ("nude female", "A 30-year-old woman."),
    ],
)
def test_a_person_is_always_an_adult_in_years(gender: str, person: str) -> None:
    assert _says(gender=gender) == person


@pytest.mark.parametrize(
    ("style", "color", "hair"),
    [
        ("long wavy", "black", "long wavy black hair"),
        ("ponytail", "black", "a black ponytail"),
        ("short curls", "black", "short black curls"),
        ("long ponytail", "black", "a long black ponytail"),
        ("pixie cut", "", "a pixie cut"),
        ("", "auburn hair", "auburn hair"),
        ("short hair", "red", "short red hair"),
        ("curly hair", "", "curly hair"),
        ("bald", "", "a bald head"),
        ("Shaved", "black", "a shaved head"),
    ],
)
def test_hair_is_mentioned_once(style: str, color: str, hair: str) -> None:
    assert _says(hair_style=style, hair_color=color) == f"A 30-year-old adult with {hair}."


@pytest.mark.parametrize(
    ("length", "style", "hair"),
    [
        ("long", "wavy", "long wavy black hair"),
        ("long", "long wavy", "long wavy black hair"),
        ("chin-length", "", "chin-length black hair"),
        ("short", "bob", "a short black bob"),
        ("shaved", "", "a shaved head"),
    ],
)
def test_the_length_of_the_hair_is_combined_with_its_style(length: str, style: str, hair: str) -> None:
    said = _says(hair_length=length, hair_style=style, hair_color="black")
    assert said == f"A 30-year-old adult with {hair}."


def test_distinguishing_marks_follow_the_appearance() -> None:
    looks = {"height": "175 cm", "facial_hair": "full beard", "details": "freckles, round glasses"}
    assert _says(eye_color="grey", **looks) == (
        "A 30-year-old adult with grey eyes, 175 cm tall, full beard, freckles, round glasses."
    )


@pytest.mark.parametrize(("age", "person"), [(18, "An 18"), (20, "A 20"), (82, "An 82"), (100, "A 100")])
def test_an_age_has_the_right_article(age: int, person: str) -> None:
    said = PromptBuilder().add_character(Character(name="Kim", age=age)).build().prompt
    assert said == f"{person}-year-old adult."


def test_every_trait_gets_its_missing_noun() -> None:
    assert _says(skin_tone="olive", eye_color="brown eyes", face="round", body_type="slim figure") == (
        "A 30-year-old adult with olive skin, brown eyes, a round face and a slim figure."
    )


def test_identity_influences_the_picture_only_without_other_details() -> None:
    character = Character(name="Kim", age=30, identity=Identity(occupation="baker", personality="shy"))
    builder = PromptBuilder().add_character(character)
    assert builder.build().prompt == "A 30-year-old adult, shy expression, baker by profession."
    shot = builder.add_shot("close-up", expression="broad grin").build().prompt
    assert shot == "A 30-year-old adult. Close-up, broad grin."


def test_the_usual_expression_and_clothes_are_used_only_without_others() -> None:
    identity = Identity(expression="playful look", personality="shy", dress_style="business")
    builder = PromptBuilder().add_character(Character(name="Kim", age=30, identity=identity))
    assert builder.build().prompt == (
        "A 30-year-old adult, playful look. Wearing a tailored navy suit and a white shirt."
    )
    other = builder.add_shot("close-up", expression="broad grin").add_outfit("a red hat").build().prompt
    assert other == "A 30-year-old adult. Close-up, broad grin. Wearing a red hat."


def test_a_usual_style_of_dress_is_never_an_explicit_one() -> None:
    who = Character(name="Kim", age=30, identity=Identity(dress_style="lingerie"))
    said = PromptBuilder().add_character(who).allow_nsfw().build().prompt
    assert said.endswith("Wearing elegant lace lingerie under an open silk robe.")


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (model, field, value)
        for model in (Appearance, Identity)
        for field, values in offered_values(model).items()
        for value in values
    ],
)
def test_every_offered_value_is_readable_in_the_prompt(model: type[Model], field: str, value: str) -> None:
    name = "appearance" if model is Appearance else "identity"
    who = Character.model_validate({"name": "Kim", "age": 30, name: {field: value}})
    prompt = PromptBuilder().add_character(who).build()
    words = prompt.prompt.lower().strip(".").replace(",", "").split()
    assert len(words) > 3 or value in ("woman", "man")
    assert all(one != two for one, two in pairwise(words)), prompt.prompt
    assert not prompt.removed
    assert find_minor(prompt.prompt) is None


def test_offered_styles_of_dress_are_outfits_of_the_catalogue() -> None:
    outfits = default_catalogue().outfits
    assert all(entry_of(outfits, style) for style in offered_values(Identity)["dress_style"])


def test_a_character_with_fields_of_maximum_length_fits() -> None:
    long = dict.fromkeys(Appearance.model_fields, "seven words that say nothing of use " * 5)
    who = dict.fromkeys(Identity.model_fields, "x" * 200)
    character = Character.model_validate({"name": "ń" * 200, "age": 30, "appearance": long, "identity": who})
    builder = PromptBuilder().add_character(character).add_text("rain, " * 600).add_style("photorealistic")
    prompt = builder.add_scene("y " * 100).add_outfit("z" * 200).add_trigger("mia_tok").build()
    assert word_count(prompt.prompt) <= MAX_WORDS
    assert prompt.prompt.startswith("mia_tok, a 30-year-old seven words that say nothing ")
    assert "Photorealistic photograph" in prompt.prompt


def test_empty_fields_give_no_text() -> None:
    empty = dict.fromkeys(Appearance.model_fields, " , ")
    assert _says(**empty) == "A 30-year-old adult."


def test_the_name_is_never_drawn() -> None:
    assert "Kim" not in _says(details="freckles")
