"""Every error that a caller's message or body can raise has its own text."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from contracts.catalog import MESSAGES
from contracts.http import AnySubmission
from contracts.http_chains import BaseImageSelection, CharacterCreation
from contracts.strictness import CallerMessage
from contracts.wording import MESSAGES as WORDS
from contracts.wording import error_text, shown

KINDS: list[Any] = [kind for kind in MESSAGES if issubclass(kind, CallerMessage)]
KINDS += [*AnySubmission.__args__, BaseImageSelection, CharacterCreation]

ERRORS: dict[str, tuple[str, ...]] = {
    "any": (),
    "bool": ("bool_type",),
    "datetime": (
        *("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "timezone_aware",
    ),
    "default": (),
    "definition-ref": (),
    "definitions": (),
    "dict": ("dict_type",),
    "float": ("float_type", "finite_number", "greater_than_equal", "less_than_equal"),
    "function-after": (),
    "function-before": (),
    "function-wrap": (),
    "int": ("int_type", "int_from_float", "finite_number", "greater_than_equal", "less_than_equal"),
    "literal": ("literal_error",),
    "model": ("model_type", "model_attributes_type"),
    "model-field": (),
    "model-fields": ("missing", "model_type", "model_attributes_type"),
    "nullable": (),
    "str": ("string_type", "string_unicode", "string_too_long", "string_too_short"),
    "tagged-union": ("union_tag_invalid", "union_tag_not_found", "model_attributes_type"),
    "tuple": ("tuple_type", "too_long", "too_short"),
    "union": (),
}
"""Errors by the kind of node of a core schema."""
OURS = {"spelling", "uuid", "unknown_field"}
DOOR = {"json_invalid"}


def node_types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str) and "serialization" not in str(node.get("type")):
            yield node["type"]
        for name, inner in node.items():
            if name not in ("metadata", "serialization", "ref", "config", "cls", "function"):
                yield from node_types(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from node_types(inner)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_type_of_a_callers_input_has_a_text(kind: type[BaseModel]) -> None:
    found = set(node_types(kind.__pydantic_core_schema__))
    assert {"str", "model"} <= found
    assert found <= set(ERRORS), "say in ERRORS which errors the new kinds raise, and in wording their words"
    wordless = {error for node in found for error in ERRORS[node]} - set(WORDS)
    assert not wordless


def test_no_error_text_mentions_a_pattern_or_python() -> None:
    assert set(WORDS) >= (OURS | DOOR)
    for words in WORDS.values():
        assert not any(sign in words for sign in ("{pattern}", "Input should", "regex", "dict", "tuple"))


def test_an_error_without_its_input_does_not_repeat_it() -> None:
    known = {"type": "spelling", "msg": "", "ctx": {"words": "a name"}}
    assert error_text(known) == "must be a name"
    assert error_text(known | {"input": "x"}) == "must be a name, got 'x'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 200, f"'{'x' * 100}…'"),
        (10**4000, "a very large number"),
        (True, "true"),
        (None, "null"),
        ({}, "an object"),
        ([], "a list"),
        (1.5, "1.5"),
    ],
)
def test_a_value_is_shown_as_json_and_shortened(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("least", "words"),
    [(1, "must have at least 1 character, got 0"), (2, "must have at least 2 characters, got 0")],
)
def test_one_character_is_singular(least: int, words: str) -> None:
    details = {"type": "string_too_short", "input": "", "ctx": {"min_length": least}}
    assert error_text(details) == words


def test_one_item_is_singular() -> None:
    details = {"type": "too_long", "input": [1, 2], "ctx": {"max_length": 1, "actual_length": 2}}
    assert error_text(details) == "must have at most 1 item, got 2"
