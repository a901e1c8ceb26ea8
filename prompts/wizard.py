"""The wizard's answers as a plain object → a character."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.characters import Character
from contracts.strictness import validate_strictly
from contracts.wizard_answers import contradicting, nested
from contracts.wording import error_text


class CharacterInvalid(ValueError):
    """An object that describes no character; the text names each field that is wrong."""


def character_from(answers: Character | Mapping[str, Any]) -> Character:
    """Read a character, or what a front end sends for one.

    Field names may be in snake or camel case (`hair_color`, `hairColor`); fields of `appearance` and
    `identity` may lie in those objects or beside `name` and `age`.

    Raises:
        CharacterInvalid: naming each field that is missing, wrong or unknown.
    """
    if isinstance(answers, Character):
        return answers
    if not isinstance(answers, Mapping):
        raise CharacterInvalid(
            f"a character is an object with 'name' and 'age', not {type(answers).__name__}"
        )
    try:
        if contradiction := contradicting(answers, ()):
            raise contradiction
        fields = nested(answers)
        return validate_strictly(Character, fields, lambda: Character.model_validate(fields))
    except ValidationError as error:
        raise CharacterInvalid("; ".join(_faults(error))) from None


def _faults(error: ValidationError) -> Iterator[str]:
    told = set()
    for details in error.errors(include_url=False):
        path = [str(step) for step in details["loc"]]
        age = path[:1] == ["age"] and details["type"] != "contradiction"
        field = "age" if path[:1] == ["age"] else ".".join(path)
        if field not in told:
            told.add(field)
            yield f"{field}: {error_text(details, age=age)}"
