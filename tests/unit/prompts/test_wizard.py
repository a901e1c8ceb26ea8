"""The prompt builder accepts the wizard's answers in the form of a front end."""

from typing import Any

import pytest

from contracts.characters import Appearance, Character, Identity
from prompts.builder import PromptBuilder
from prompts.wizard import CharacterInvalid, character_from

MARA = Character(
    name="Mara",
    age=27,
    appearance=Appearance(gender="woman", hair_color="auburn"),
    identity=Identity(occupation="barista"),
)

ANSWERS: dict[str, dict[str, Any]] = {
    "nested": {
        "name": "Mara",
        "age": 27,
        "appearance": {"gender": "woman", "hair_color": "auburn"},
        "identity": {"occupation": "barista"},
    },
    "flat": {"name": "Mara", "age": 27, "gender": "woman", "hair_color": "auburn", "occupation": "barista"},
    "camel case": {
        "name": "Mara",
        "age": 27,
        "appearance": {"gender": "woman", "hairColor": "auburn"},
        "occupation": "barista",
    },
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_the_wizards_answers_give_the_same_prompt_as_the_model(answers: dict[str, Any]) -> None:
    assert character_from(answers) == MARA
    built = [
        PromptBuilder().add_character(who).add_scene("beach").with_seed(7).build() for who in (answers, MARA)
    ]
    assert built[0] == built[1]
    assert "auburn" in built[0].prompt


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"name": "Mara"}, "age: is required"),
        ({"name": "Mara", "age": []}, "age: must be an age in years, as a number or in words, got a list"),
        ({"name": 7, "age": 27}, "name: must be a text, got 7"),
        (
            {"name": "Mara", "age": 27, "hair_colour": "red"},
            "hair_colour: is not a field here; did you mean 'appearance.hair_color'?",
        ),
        (
            {"name": "Mara", "age": 27, "appearance": {"gendre": "woman"}},
            "appearance.gendre: is not a field here; did you mean 'gender'?",
        ),
        ({"name": "Mara", "age": 27, "appearance": "tall"}, "appearance: must be an object, got 'tall'"),
    ],
)
def test_invalid_answers_are_refused_with_their_fields(answers: dict[str, Any], message: str) -> None:
    with pytest.raises(CharacterInvalid) as refused:
        PromptBuilder().add_character(answers)
    assert str(refused.value) == message


def test_a_value_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(CharacterInvalid, match="an object with 'name' and 'age', not str"):
        character_from("Mara")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ({"gender": "woman", "appearance": {"gender": "man"}}, ("'gender'", "appearance.gender")),
        ({"hair_color": "red", "hairColor": "black"}, ("'hair_color'", "hairColor")),
        ({"appearance": {"eyeColor": "red", "eye_color": "blue"}}, ("'appearance.eyeColor'", "eye_color")),
    ],
)
def test_answers_that_contradict_each_other_are_refused(
    answers: dict[str, object], names: tuple[str, str]
) -> None:
    with pytest.raises(CharacterInvalid) as refused:
        character_from({"name": "Mia", "age": 27} | answers)
    assert all(name in str(refused.value) for name in names)


def test_a_repeated_answer_is_not_a_contradiction() -> None:
    answers = {"name": "Mia", "age": 27, "gender": "woman", "appearance": {"gender": "woman"}}
    assert character_from(answers).appearance.gender == "woman"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"age": float("nan")}, "age: must be an age in years, as a number or in words, got nan"),
        ({"hair_color": float("nan")}, "hair_color: must be a text, got nan"),
    ],
)
def test_a_number_that_is_none_is_named_and_no_contradiction(answers: dict[str, Any], message: str) -> None:
    with pytest.raises(CharacterInvalid) as refused:
        character_from({"name": "Mia", "age": 27} | answers)
    assert message in str(refused.value)
