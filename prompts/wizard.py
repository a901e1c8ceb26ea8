"""Conversion of a wizard's answers to a character."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.characters import Character
from contracts.strictness import validate_strictly
from contracts.wizard_answers import contradicting, nested
from contracts.wording import error_text


class CharacterInvalid(ValueError):
    """An object is not a valid character. The text names each invalid field."""


def character_from(answers: Character | Mapping[str, Any]) -> Character:
    """Convert a wizard's answers to a character. A `Character` is returned unchanged.

    Field names may be in snake case or camel case (`hair_color`, `hairColor`). Fields of `appearance` and
    `identity` may be in those objects or beside `name` and `age`.

    Raises:
        CharacterInvalid: if fields are missing, wrong or unknown. The text names each of them.
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
    reported = set()
    for details in error.errors(include_url=False):
        path = [str(step) for step in details["loc"]]
        age = path[:1] == ["age"] and details["type"] != "contradiction"
        field = "age" if path[:1] == ["age"] else ".".join(path)
        if field not in reported:
            reported.add(field)
            yield f"{field}: {error_text(details, age=age)}"
