"""The schemas agree with the validation: both accept and reject the same values."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.base import AssetId, CharacterId, Line, Model, Name, Seed, Text, UserId, WebAddress
from contracts.catalog import MESSAGES
from contracts.http import (
    BaseImageSubmission,
    CharacterSheetSubmission,
    LoraTrainingSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)
from contracts.http_chains import BaseImageSelection, CharacterCreation
from contracts.http_webhooks import EnableEndpoint, ReplayWebhooks
from contracts.publish import name_of, schema
from contracts.strictness import CallerMessage

BODIES: tuple[type[Model], ...] = (
    BaseImageSubmission,
    CharacterSheetSubmission,
    StudioSubmission,
    ProfilePicturesSubmission,
    LoraTrainingSubmission,
    BaseImageSelection,
    CharacterCreation,
    ReplayWebhooks,
    EnableEndpoint,
)
SCALARS = {"name": Name, "user": UserId, "line": Line, "text": Text, "asset": AssetId, "seed": Seed}
SCALARS |= {"character": CharacterId, "address": WebAddress}


def objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [document, *document.get("$defs", {}).values()]
    return [part for part in parts if part.get("type") == "object"]


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_the_schema_of_a_body_is_closed_and_describes_each_field(kind: type[Model]) -> None:
    for part in objects(kind.model_json_schema()):
        assert part["additionalProperties"] is False, part["title"]
    undescribed = [name for name, field in kind.model_fields.items() if not field.description]
    assert set(undescribed) <= {"type"}


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_only_schemas_of_callers_messages_are_closed(kind: Any) -> None:
    closed = [part.get("additionalProperties") is False for part in objects(schema(kind, name_of(kind)))]
    assert set(closed) == {issubclass(kind, CallerMessage)}


TRICKY = st.sampled_from(
    ["\0", "\x1f", "\x7f", "\x85", "\u2028", "\n", "\t", " ", "a", "Z", "é", "漢", "/", "\\", "."]
)
TEXTS = st.one_of(st.text(max_size=300), st.text(TRICKY, max_size=8), st.integers(0, 2**65).map(str))


@pytest.mark.parametrize("name", SCALARS)
@given(value=st.one_of(TEXTS, st.integers(-(2**65), 2**65)))
@settings(max_examples=200)
def test_a_value_is_accepted_exactly_if_its_schema_allows_it(name: str, value: str | int) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(SCALARS[name])
    allowed = jsonschema_rs.is_valid(adapter.json_schema(), value)
    try:
        adapter.validate_json(json.dumps(value))
        received = True
    except ValidationError:
        received = False
    assert received == allowed
