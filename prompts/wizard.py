"""The wizard's answers as a plain object → a character."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.base import Model
from contracts.characters import Appearance, Character, Identity
from contracts.strictness import strictly
from contracts.wording import message_of

_PARTS: dict[str, type[Model]] = {"appearance": Appearance, "identity": Identity}


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
    if contradictions := list(_contradictions(answers)):
        raise CharacterInvalid("; ".join(contradictions))
    fields = _nested(_snake(answers))
    try:
        return strictly(Character, fields, lambda: Character.model_validate(fields))
    except ValidationError as error:
        raise CharacterInvalid("; ".join(_faults(error))) from None


def _faults(error: ValidationError) -> Iterator[str]:
    told = set()
    for details in error.errors(include_url=False):
        path = [str(step) for step in details["loc"]]
        age = path[:1] == ["age"]
        field = "age" if age else ".".join(path)
        if field not in told:
            told.add(field)
            yield f"{field}: {message_of(details, age=age)}"


def _contradictions(answers: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that are given twice, by two names or in two places, with different values."""
    said: dict[tuple[str, str], tuple[str, Any]] = {}
    for path, place, value in _answers(answers):
        earlier, known = said.setdefault(place, (path, value))
        if known != value:
            yield f"{path}: contradicts '{earlier}'; leave one of them out"


def _answers(answers: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str], Any]]:
    """Yield each answer: its path as written, the object and field that it belongs to, and its value."""
    owners = {field: part for part, model in _PARTS.items() for field in model.model_fields}
    for name, value in answers.items():
        field = _snake_name(str(name))
        if field in _PARTS and isinstance(value, Mapping):
            for inner, answer in value.items():
                yield f"{name}.{inner}", (field, _snake_name(str(inner))), answer
        else:
            yield str(name), (owners.get(field, ""), field), value


def _snake(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_snake_name(str(name)): _snake(inner) for name, inner in value.items()}
    return value


def _snake_name(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Move fields that lie beside `name` and `age` into the object that they belong to."""
    for part, model in _PARTS.items():
        inside = fields.get(part)
        if inside is None or isinstance(inside, dict):
            beside = {name: fields.pop(name) for name in model.model_fields if name in fields}
            if beside or inside:
                fields[part] = beside | (inside or {})
            elif part in fields:
                del fields[part]
    return fields
