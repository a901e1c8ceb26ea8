"""Conversion of the wizard's answers (flat or nested, camel or snake case) to a character's fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, GetJsonSchemaHandler, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from contracts.base import CharacterId, Model
from contracts.characters import Appearance, Character, Identity
from contracts.strictness import Path, snake_case

PARTS: Mapping[str, type[Model]] = {"appearance": Appearance, "identity": Identity}
_OWNERS = {field: part for part, model in PARTS.items() for field in model.model_fields}
_ANSWERS = Character.model_fields.keys() | _OWNERS.keys()


_MODELS: tuple[type[Model], ...] = (Character, *PARTS.values())
_FIELDS: dict[str, Any] = {
    name: (field.annotation, field) for model in _MODELS for name, field in model.model_fields.items()
}


class _CamelCase(Model):
    """Fields of a character in camel case, including those of `appearance` and `identity`.

    Names in snake case are accepted too.
    """

    model_config = ConfigDict(alias_generator=to_camel)


WizardAnswers: type[Model] = create_model(
    "WizardAnswers", __base__=_CamelCase, __doc__=_CamelCase.__doc__, **_FIELDS
)
"""Schema of the flat form, which `nested` converts."""

FlatCreation: type[Model] = create_model(
    "FlatCreation",
    __base__=_CamelCase,
    __doc__="The wizard's answers and the caller's own `id` for the character.",
    id=(CharacterId | None, None),
    **_FIELDS,
)
"""Schema of a creation without `character`."""


class EitherForm:
    """Annotation that documents both forms of a character: as stored, and as flat answers."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), closed_schema(WizardAnswers, handler)]}


def closed_schema(model: type[Model], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Return the JSON Schema of a model with `additionalProperties: false`."""
    made = handler(model.__pydantic_core_schema__)
    handler.resolve_ref_schema(made)["additionalProperties"] = False
    return made


def is_answers(value: Mapping[str, Any]) -> bool:
    """Return whether an object has at least one field of the wizard."""
    return any(snake_case(str(name)) in _ANSWERS for name in value)


def nested(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Convert answers to snake case, and move fields into `appearance` and `identity`."""
    fields = {snake_case(str(name)): _snake(value) for name, value in answers.items()}
    for part, model in PARTS.items():
        inside = fields.get(part)
        if inside is None or isinstance(inside, dict):
            beside = {name: fields.pop(name) for name in model.model_fields if name in fields}
            if beside or inside:
                fields[part] = beside | (inside or {})
            elif part in fields:
                del fields[part]
    return fields


def _snake(value: Any) -> Any:
    return (
        {snake_case(str(name)): inner for name, inner in value.items()} if isinstance(value, dict) else value
    )


def contradictions(answers: Mapping[str, Any]) -> Iterator[tuple[Path, Path, Any]]:
    """Yield fields with two different values: the later path, the earlier path and the later value."""
    first: dict[Path, tuple[Path, Any]] = {}
    for written, meant, value in _answers(answers):
        earlier, known = first.setdefault(meant, (written, value))
        if known is not value and known != value:  # NaN differs from itself
            yield written, earlier, value


def as_written(answers: Mapping[str, Any], path: Path) -> Path:
    """Convert a path in the nested fields to the path in the caller's answers."""
    for written, meant, _ in _answers(answers):
        if path[: len(meant)] == meant:
            return (*written, *path[len(meant) :])
    return path


def contradicting(answers: Mapping[str, Any], place: Path) -> ValidationError | None:
    """Return the error of contradicting answers, or None. `place` is the path of the answers."""
    errors = [
        InitErrorDetails(
            type=PydanticCustomError(
                "contradiction",
                "contradicts '{earlier}'; leave one of them out",
                {"earlier": ".".join(map(str, (*place, *earlier)))},
            ),
            loc=(*place, *written),
            input=value,
        )
        for written, earlier, value in contradictions(answers)
    ]
    return ValidationError.from_exception_data("WizardAnswers", errors) if errors else None


def _answers(answers: Mapping[str, Any]) -> Iterator[tuple[Path, Path, Any]]:
    """Yield each answer: its path in the answers, its path in the nested fields, and its value."""
    for name, value in answers.items():
        field = snake_case(str(name))
        if field in PARTS and isinstance(value, Mapping):
            for inner, answer in value.items():
                yield (name, inner), (field, snake_case(str(inner))), answer
        else:
            meant = (_OWNERS[field], field) if field in _OWNERS else (field,)
            yield (name,), meant, value
