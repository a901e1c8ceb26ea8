"""The hash of a request: equal for equal requests in any notation, different for different ones."""

from typing import Any

import pytest

from contracts.generation import GenerationRequested
from prompts.planner import request_hash
from tests.unit.prompts.examples import AT, BASE_IMAGE, JOB, MIA, requested

BODY: dict[str, Any] = {
    "job_id": JOB,
    "tenant": "acme",
    "user_id": "u1",
    "request": {"type": "studio", "character": {"name": "Mia", "age": 27}, "prompt": "sunset"},
}


def _hash(**changes: Any) -> str:
    return request_hash(GenerationRequested.model_validate(BODY | changes))


def _with(**changes: Any) -> str:
    return _hash(request=BODY["request"] | changes)


def test_the_hash_has_a_fixed_value() -> None:
    assert _hash() == "c640d4b10556359d9ebe31611013c5cc22077afde29b8663eb1bb04e206b1444"


@pytest.mark.parametrize(
    "same",
    [
        {"scene": None},
        {"count": 1},
        {"include_nsfw": False, "mode": "auto", "seed": None},
        {"character": {"age": 27, "name": "Mia", "appearance": {}, "identity": {"hobbies": None}}},
        {"not_known_yet": True},
    ],
)
def test_null_and_default_values_do_not_change_the_hash(same: dict[str, Any]) -> None:
    assert _with(**same) == _hash()


@pytest.mark.parametrize(
    "other",
    [{"prompt": "Sunset"}, {"count": 2}, {"seed": 0}, {"character": {"name": "Mia", "age": 28}}],
)
def test_another_request_has_another_hash(other: dict[str, Any]) -> None:
    assert _with(**other) != _hash()


def test_the_user_changes_the_hash_but_time_and_receiver_do_not() -> None:
    assert _hash(tenant="other") != _hash()
    assert _hash(user_id="u2") != _hash()
    assert _hash(requested_at=AT, notify={"webhook_url": "https://example.com"}, chain_id=JOB) == _hash()


SHEET = {"type": "character_sheet", "character": {"name": "Mia", "age": 27}, "base_image_id": BASE_IMAGE}
THEN: list[dict[str, Any]] = [{"type": "lora_training"}, {"type": "studio", "scene": "beach"}]


def _then(*then: dict[str, Any]) -> str:
    return _hash(request=SHEET, then=then)


def test_follow_ups_change_the_hash_and_an_empty_list_does_not() -> None:
    assert _then() == _hash(request=SHEET)
    assert len({_then(), _then(*THEN), _then(THEN[0]), _then(THEN[1]), _then(*reversed(THEN))}) == 5
    assert _then(THEN[0], {"type": "studio", "scene": "city"}) != _then(*THEN)


def test_follow_ups_of_different_types_without_fields_have_different_hashes() -> None:
    assert _then({"type": "lora_training"}) != _then({"type": "studio"})


def test_null_and_default_values_do_not_change_the_hash_of_follow_ups() -> None:
    assert _then(THEN[0], THEN[1] | {"count": 1, "mode": "auto", "style": None}) == _then(*THEN)


def test_the_type_changes_the_hash() -> None:
    sheet, profile = (request_hash(requested(type_)) for type_ in ("character_sheet", "profile_pictures"))
    assert sheet != profile
    assert request_hash(requested("base_image", character=MIA)) != request_hash(requested(character=MIA))


def test_the_order_of_a_workflows_keys_does_not_change_the_hash() -> None:
    one = {"1": {"class_type": "A", "inputs": {"x": 1, "y": None}}, "2": {"class_type": "B", "inputs": {}}}
    other = {"2": {"inputs": {}, "class_type": "B"}, "1": {"inputs": {"y": None, "x": 1}, "class_type": "A"}}
    assert _with(workflow=one) == _with(workflow=other) != _hash()
