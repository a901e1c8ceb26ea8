"""Strict parsing over HTTP: user ids, seeds, unknown fields, and errors that name the field."""

import json
import time
from typing import Any

import pytest

from tests.fakes.api import ApiHarness
from tests.unit.workflow_graphs import drawing

MIA: dict[str, Any] = {"name": "Mia", "age": 27}
JSON_TYPE = {"content-type": "application/json"}
JOB = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"
FOLLOWING = "known types: lora_training, studio, profile_pictures"


@pytest.fixture
def harness() -> ApiHarness:
    return ApiHarness()


async def errors(harness: ApiHarness, body: dict[str, Any], path: str = "/v1/studio") -> dict[str, str]:
    answer = await harness.http.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert harness.broker.sent == []
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    "user_id",
    ["auth0|5f7c8ec7c33c6c004bbafe82", "jane+test@example.com", "-V1StGXR8_Z5jdHi6B", "_abc", "用户 é"],
)
async def test_a_user_id_of_an_identity_provider_comes_back_unchanged(
    harness: ApiHarness, user_id: str
) -> None:
    headers = {b"x-tenant-id": b"acme", b"x-user-id": user_id.encode()}
    answer = await harness.http.post("/v1/studio", json={"character": MIA}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["user_id"] == user_id
    [request] = harness.broker.requests()
    assert request.user_id == user_id
    listed = await harness.http.get("/v1/jobs", params={"user_id": user_id}, headers=headers)
    assert [job["user_id"] for job in listed.json()["jobs"]] == [user_id]


async def test_an_unprintable_user_id_is_refused_with_the_reason(harness: ApiHarness) -> None:
    headers = {b"x-tenant-id": b"acme", b"x-user-id": b"x" * 257}
    answer = await harness.http.post("/v1/studio", json={"character": MIA}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The header X-User-Id must have at most 256 characters, got 257."


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "The header X-Tenant-Id is required."),
        ({b"x-tenant-id": b"acme"}, "The header X-User-Id is required."),
        (
            {b"x-tenant-id": b"acme", b"x-user-id": b""},
            "The header X-User-Id must have at least 1 character, got 0.",
        ),
    ],
)
async def test_a_401_names_the_wrong_header(
    harness: ApiHarness, headers: dict[bytes, bytes], detail: str
) -> None:
    harness.http.headers.clear()
    answer = await harness.http.post("/v1/studio", json={"character": MIA}, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, detail)


@pytest.mark.parametrize(
    ("then", "field", "message"),
    [
        ({"type": "x"}, "then.0.type", f"unknown type 'x'; {FOLLOWING}"),
        ({"type": None}, "then.0.type", f"unknown type null; {FOLLOWING}"),
        ({"type": 5}, "then.0.type", f"unknown type 5; {FOLLOWING}"),
        ({}, "then.0.type", f"is required; {FOLLOWING}"),
        ({"type": "profile_pictures"}, "then.0.set_id", "is required"),
        ({"type": "studio", "count": 11}, "then.0.count", "must be at most 10, got 11"),
    ],
)
async def test_an_error_in_a_follow_up_is_reported_where_the_caller_wrote_it(
    harness: ApiHarness, then: dict[str, Any], field: str, message: str
) -> None:
    sheet = {"character": MIA, "base_image_id": f"{JOB}/0", "then": [then]}
    assert await errors(harness, sheet, "/v1/character-sheets") == {field: message}


@pytest.mark.parametrize("user_id", ["\u200b", "\u200b\u2060\ufeff", "ann\u202e"])
async def test_a_user_id_with_invisible_or_bidirectional_characters_is_refused(
    harness: ApiHarness, user_id: str
) -> None:
    headers = {b"x-tenant-id": b"acme", b"x-user-id": user_id.encode()}
    answer = await harness.http.post("/v1/studio", json={"character": MIA}, headers=headers)
    assert answer.status_code == 401
    assert "must be printable text of 1 to 256 characters" in answer.json()["detail"]


async def test_a_key_that_is_not_ascii_is_refused_with_the_reason(harness: ApiHarness) -> None:
    headers = {b"idempotency-key": "é".encode()}
    answer = await harness.http.post("/v1/studio", json={"character": MIA}, headers=headers)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "Idempotency-Key"
    assert error["message"].startswith("must be printable ASCII of 1 to 255 characters, got ")


async def test_unknown_fields_and_numbers_as_text_are_refused_with_a_suggestion(harness: ApiHarness) -> None:
    character = MIA | {"appearence": {}}
    body = {
        "character": character,
        "scen": "beach",
        "count": "4",
        "include_nsfw": "yes",
        "notify": {"url": 1},
    }
    assert await errors(harness, body) == {
        "scen": "is not a field here; did you mean 'scene'?",
        "character.appearence": "is not a field here; did you mean 'appearance'?",
        "notify.url": "is not a field here; known fields: webhook_url",
        "count": "must be a whole number, got '4'",
        "include_nsfw": "must be true or false, got 'yes'",
    }


async def test_a_field_in_camel_case_is_refused_with_its_name(harness: ApiHarness) -> None:
    messages = await errors(harness, {"characterId": JOB, "setId": "classic"}, "/v1/profile-pictures")
    assert messages["setId"] == "is not a field here; did you mean 'set_id'?"
    assert messages["set_id"] == "is required"
    assert messages["characterId"] == "is not a field here; did you mean 'character_id'?"


AGE_ELSEWHERE = "is not a field here; did you mean 'character.age'?"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/characters", {"character": MIA, "age": 27}, "age"),
        ("/v1/studio", {"prompt": "a beach", "age": 27}, "age"),
        ("/v1/studio", {"character": MIA | {"appearance": {"age": 27}}}, "character.appearance.age"),
    ],
)
async def test_an_age_in_another_place_is_refused_with_the_right_place(
    harness: ApiHarness, path: str, body: dict[str, Any], field: str
) -> None:
    """An earlier version reported each as an invalid number of years."""
    assert (await errors(harness, body, path))[field] == AGE_ELSEWHERE


@pytest.mark.parametrize("age", [[], True, {}, 1.5])
async def test_an_invalid_age_is_refused_with_the_rule_for_ages(harness: ApiHarness, age: Any) -> None:
    messages = await errors(harness, {"character": MIA | {"age": age}})
    assert messages["character.age"].startswith("must be an age in years, as a number or in words, got ")


@pytest.mark.parametrize("seed", [0, 2**53, 2**64 - 1, str(2**64 - 1)])
async def test_a_seed_reaches_the_prompt_builder_exactly(harness: ApiHarness, seed: int | str) -> None:
    workflow = drawing(seed=2**64 - 1)
    body = {"character": MIA, "seed": seed, "provider": "comfyui", "workflow": workflow}
    text = json.dumps(body)
    headers = {"content-type": "application/json"}
    answer = await harness.http.post("/v1/studio", content=text, headers=headers)
    assert answer.status_code == 202, answer.text
    [request] = harness.broker.requests()
    assert getattr(request.request, "seed", None) == int(seed)
    assert getattr(request.request, "workflow", None) == workflow


async def test_captions_and_images_of_a_training_must_fit_each_other(harness: ApiHarness) -> None:
    images = [f"{JOB}/{index}" for index in range(4)]
    training = {"character_id": JOB, "trigger_word": "mar", "images": images}
    messages = await errors(harness, training | {"captions": ["x"] * 6}, "/v1/lora-trainings")
    assert messages == {"captions": "must be one per image or none at all: 6 captions for 4 images"}
    messages = await errors(harness, training | {"images": images[:1] * 4}, "/v1/lora-trainings")
    assert messages == {"images": "must be different images: number 2 repeats number 1"}


@pytest.mark.parametrize("digits", [20, 4000, 4301, 5000])
async def test_an_age_of_many_digits_is_refused_at_once(harness: ApiHarness, digits: int) -> None:
    body = f'{{"character": {{"name": "Mia", "age": {"9" * digits}}}}}'
    answer = await harness.http.post("/v1/studio", content=body, headers=JSON_TYPE)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["character.age"]


async def test_a_body_of_very_many_lists_is_refused_before_it_is_parsed(harness: ApiHarness) -> None:
    body = b'{"character": {}, "then": [' + b"[]," * 660_000 + b"[]]}"
    started = time.process_time()
    answer = await harness.http.post("/v1/character-sheets", content=body, headers=JSON_TYPE)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "Body has more than 50000 lists and objects."
    assert time.process_time() - started < 0.1, "parsing it takes twice as long"


async def test_a_very_long_list_gets_a_short_error(harness: ApiHarness) -> None:
    sheet = {"character": MIA, "base_image_id": f"{JOB}/0", "then": [1] * 600_000}
    answer = await harness.http.post("/v1/character-sheets", json=sheet)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error == {"field": "then", "message": "must have at most 20 items, got 600000"}
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"character": MIA, "job_id": "hello"}, "job_id"),
        ({"character": MIA, "notify": {"webhook_url": "shop"}}, "notify.webhook_url"),
        ({"character": MIA | {"base_image_id": "face.png"}}, "character.base_image_id"),
        ({"character_id": "a/b"}, "character_id"),
    ],
)
async def test_errors_contain_no_regular_expressions(
    harness: ApiHarness, body: dict[str, Any], field: str
) -> None:
    message = (await errors(harness, body))[field]
    assert not any(sign in message for sign in ("^", "$", "[A-Z", "\\d", "hexadecimal", "Input should"))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://:80/x", "must name a host, such as https://example.com/hooks"),
        ("http://user:pw@", "must name a host, such as https://example.com/hooks"),
        ("http://a..b/", "must name a host that can exist, such as https://example.com/hooks"),
    ],
)
async def test_an_unusable_webhook_address_is_refused(harness: ApiHarness, url: str, fault: str) -> None:
    body = {"character": MIA, "notify": {"webhook_url": url}}
    assert await errors(harness, body) == {"notify.webhook_url": fault}


@pytest.mark.parametrize("index", ["00", "01", "007"])
async def test_an_image_has_one_id_only(harness: ApiHarness, index: str) -> None:
    """Before, `…/0` and `…/00` were two images of a training."""
    training = {"character_id": JOB, "trigger_word": "mar", "images": [f"{JOB}/{index}"] * 4}
    messages = await errors(harness, training, "/v1/lora-trainings")
    assert "its index without leading zeros" in messages["images.0"]
