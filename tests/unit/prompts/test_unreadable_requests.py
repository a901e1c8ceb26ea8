"""Rejection of unreadable requests whose job id and tenant are known."""

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.generation import GenerationRejected, GenerationRequested
from contracts.strictness import read_message
from prompts.unreadable_requests import rejection_of
from tests.unit.prompts.examples import AT, BASE_IMAGE, CHARACTER, JOB

MIA = {"name": "Mia", "age": 27}


def _body(**request: Any) -> dict[str, Any]:
    full = {"type": "studio", "character": MIA} | request
    return {"job_id": JOB, "tenant": "acme", "user_id": "u1", "request": full}


def _rejected(value: bytes, key: str = "") -> GenerationRejected | None:
    with pytest.raises(ValidationError) as raised:
        GenerationRequested.model_validate_json(value)
    return rejection_of(value, key, raised.value, AT)


def _reasons(body: dict[str, Any]) -> dict[str, str]:
    rejected = _rejected(json.dumps(body).encode())
    assert rejected is not None
    return {reason.field: reason.message for reason in rejected.reasons}


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        ({"count": 11}, "request.count", "must be at most 10, got 11"),
        ({"count": 0}, "request.count", "must be at least 1, got 0"),
        ({"count": "many"}, "request.count", "must be a whole number, got 'many'"),
        ({"seed": 2**64}, "request.seed", f"must be at most {2**64 - 1}, got a very large number"),
        ({"seed": "1e3"}, "request.seed", "must be a whole number, got '1e3'"),
        ({"seed": -1}, "request.seed", "must be at least 0, got -1"),
        ({"scene": "x" * 201}, "request.scene", "must have at most 200 characters, got 201"),
        ({"prompt": "x" * 1048576}, "request.prompt", "must have at most 4000 characters, got 1048576"),
        ({"prompt": ["x"]}, "request.prompt", "must be a text, got a list"),
        ({"prompt": "a\x00b"}, "request.prompt", "must not contain the control character U+0000"),
        ({"mode": "magic"}, "request.mode", "must be 'auto', 'lora' or 'face_swap', got 'magic'"),
        ({"workflow": "x"}, "request.workflow", "must be an object, got 'x'"),
        ({"character": None}, "request", "set either 'character' or 'character_id'"),
        ({"character": {"name": "Mia"}}, "request.character.age", "is required"),
        (
            {"character": {"name": "Mia", "age": 17.5}},
            "request.character.age",
            "must be an age in years, as a number or in words, got 17.5",
        ),
        (
            {"type": "foo"},
            "request.type",
            "unknown type 'foo'; known types: base_image, character_sheet, studio, profile_pictures,"
            " lora_training",
        ),
        (
            {"type": "lora_training", "character_id": CHARACTER, "images": [BASE_IMAGE], "trigger_word": "t"},
            "request.images",
            "must have at least 4 items, got 1",
        ),
    ],
)
def test_a_reason_names_the_callers_field_and_the_error(
    request_: dict[str, Any], field: str, message: str
) -> None:
    assert _reasons(_body(**request_)) == {field: message}


@pytest.mark.parametrize("digits", [20, 4000, 4301, 5000, 100_000])
def test_an_age_of_any_number_of_digits_is_refused_with_its_field(digits: int) -> None:
    value = json.dumps(_body()).replace('"age": 27', f'"age": {"9" * digits}').encode()
    with pytest.raises(ValidationError) as raised:
        read_message(GenerationRequested, value)
    rejected = rejection_of(value, "", raised.value, AT)
    assert rejected is not None
    assert [reason.field for reason in rejected.reasons] == ["request.character.age"]
    assert rejected.job_id == JOB


def test_a_missing_type_is_reported() -> None:
    body = _body()
    del body["request"]["type"]
    assert "is required" in _reasons(body)["request.type"]


@pytest.mark.parametrize(
    ("follow_up", "field", "message"),
    [
        ({"type": "studio", "count": 11}, "then.1.count", "must be at most 10, got 11"),
        ({"type": "profile_pictures"}, "then.1.set_id", "is required"),
        ({"type": "lora_training", "steps": 0}, "then.1.steps", "must be at least 1, got 0"),
        ({}, "then.1.type", "is required; known types: lora_training, studio, profile_pictures"),
        (
            {"type": "base_image"},
            "then.1.type",
            "unknown type 'base_image'; known types: lora_training, studio, profile_pictures",
        ),
        ("studio", "then.1", "must be an object, got 'studio'"),
    ],
)
def test_an_invalid_follow_up_is_reported_with_its_position(follow_up: Any, field: str, message: str) -> None:
    sheet = _body(type="character_sheet", base_image_id=BASE_IMAGE)
    assert _reasons(sheet | {"then": [{"type": "lora_training"}, follow_up]}) == {field: message}


def test_an_unreadable_chain_is_rejected_as_a_chain() -> None:
    body = _body(type="character_sheet", base_image_id=BASE_IMAGE)
    rejected = _rejected(json.dumps(body | {"then": [{"type": "studio", "count": 11}]}).encode())
    assert rejected is not None
    assert (rejected.chain_id, rejected.character_id) == (JOB, JOB)


def test_several_reasons_are_reported_together() -> None:
    body = _body(count=11, prompt="x" * 5000) | {"chain_id": 7}
    assert sorted(_reasons(body)) == ["chain_id", "request.count", "request.prompt"]


def test_readable_fields_are_kept() -> None:
    body = _body(count=11, character=None, character_id=CHARACTER) | {
        "requested_at": "2026-03-01T11:59:00Z",
        "notify": {"webhook_url": "https://example.com/hook"},
        "chain_id": JOB,
    }
    value = json.dumps(body).encode()
    rejected = _rejected(value)
    assert rejected is not None
    assert (rejected.job_id, rejected.tenant, rejected.user_id, rejected.type) == (
        JOB,
        "acme",
        "u1",
        "studio",
    )
    assert rejected.notify.webhook_url == "https://example.com/hook"
    assert (rejected.chain_id, rejected.character_id) == (JOB, CHARACTER)
    assert rejected.requested_at.minute == 59
    assert rejected.request_hash == hashlib.sha256(value).hexdigest()


def test_unreadable_fields_are_replaced() -> None:
    body = {
        "job_id": JOB,
        "tenant": "acme",
        "user_id": "u1",
        "request": {"type": ["studio"]},
        "requested_at": "yesterday",
    }
    rejected = _rejected(json.dumps(body).encode())
    assert rejected is not None
    assert (rejected.tenant, rejected.user_id, rejected.type) == ("acme", "u1", "studio")
    assert rejected.requested_at == AT


@pytest.mark.parametrize("job_id", [None, "7", ["x"]])
def test_the_key_of_the_record_replaces_a_missing_job_id(job_id: Any) -> None:
    body = {"tenant": "acme", "user_id": "u1"} | ({} if job_id is None else {"job_id": job_id})
    rejected = _rejected(json.dumps(body).encode(), JOB)
    assert rejected is not None
    assert (rejected.job_id, rejected.tenant) == (JOB, "acme")
    assert all(reason.field and reason.message for reason in rejected.reasons)


@pytest.mark.parametrize(
    "value",
    [b"not json", b"", b"\xff\xfe", b"[1]", b"null", b'"text"', b"{}", b"[" * 100_000, b"9" * 9999],
)
def test_a_body_without_a_tenant_rejects_no_job(value: bytes) -> None:
    assert _rejected(value, JOB) is None


@pytest.mark.parametrize("tenant", [None, "", "a/b", "no spaces", 7, ["acme"]])
def test_an_unreadable_tenant_rejects_no_job(tenant: Any) -> None:
    assert _rejected(json.dumps(_body() | {"tenant": tenant}).encode(), JOB) is None


@pytest.mark.parametrize("user_id", [None, "", " ", "x" * 257, 7, ["ann"]])
def test_an_unreadable_user_gives_no_job_of_another_user(user_id: Any) -> None:
    assert _rejected(json.dumps(_body() | {"user_id": user_id}).encode(), JOB) is None


@pytest.mark.parametrize("claimed", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_rejection_has_a_plausible_time(claimed: str) -> None:
    rejected = _rejected(json.dumps(_body(count=11) | {"requested_at": claimed}).encode())
    assert rejected is not None
    assert rejected.requested_at == AT


@pytest.mark.parametrize("key", ["", "7", "not-a-uuid"])
def test_a_request_without_a_job_id_is_not_rejected(key: str) -> None:
    assert _rejected(b"not json", key) is None


def test_long_values_are_shortened_in_reasons() -> None:
    body = _body(mode="m" * 10**6, style={"a" * 10**5: 1}, type="studio", provider="p" * 10**6)
    body["chain_id"] = "t" * 10**6
    rejected = _rejected(json.dumps(body).encode())
    assert rejected is not None
    assert len(rejected.model_dump_json()) < 3000
    tagged = _rejected(json.dumps(_body(type="t" * 10**6)).encode())
    assert tagged is not None
    assert len(tagged.model_dump_json()) < 1500


def test_many_errors_give_a_limited_number_of_reasons() -> None:
    images = {"type": "lora_training", "character_id": CHARACTER, "images": ["x"] * 50, "trigger_word": "t"}
    assert len(_reasons(_body(**images))) == 20


def test_a_position_that_no_sheet_has_is_reported() -> None:
    body = _body(type="character_sheet", base_image_id=BASE_IMAGE, only=[1, 10, "x"])
    assert _reasons(body) == {
        "request.only.1": "must be at most 9, got 10",
        "request.only.2": "must be a whole number, got 'x'",
    }


def test_a_field_of_the_wizard_that_is_too_long_is_reported_once() -> None:
    body = _body(character=MIA | {"appearance": {"gender": "x" * 201}})
    assert _reasons(body) == {
        "request.character.appearance.gender": "must have at most 200 characters, got 201"
    }
