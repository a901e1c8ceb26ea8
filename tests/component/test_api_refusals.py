"""Requests that would be rejected are refused over HTTP at once, in the words of the rejection."""

from typing import Any

import pytest

from contracts.generation import GenerationRejected, GenerationRequested
from prompts.catalogue import default_catalogue
from prompts.planner import plan
from tests.fakes.api import ApiHarness
from tests.fakes.builders import JOB, START
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image
from tests.unit.workflow_graphs import drawing

MIA = {"name": "Mia", "age": 27}
SHEET = {"character": MIA, "base_image_id": f"{JOB}/0"}
TRAINING = {"character_id": "c", "images": [f"{JOB}/{n}" for n in range(4)], "trigger_word": "mia7"}
PATHS = {
    "base_image": "/v1/base-images",
    "character_sheet": "/v1/character-sheets",
    "studio": "/v1/studio",
    "profile_pictures": "/v1/profile-pictures",
    "lora_training": "/v1/lora-trainings",
}
REFUSED: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    ("base_image", {"character": MIA | {"age": 17}}, ["character.age"]),
    ("studio", {"character": MIA | {"age": "seventeen"}}, ["character.age"]),
    ("studio", {"character": MIA | {"age": "old"}}, ["character.age"]),
    ("studio", {"character": MIA | {"age": 121}}, ["character.age"]),
    ("studio", {"character_id": "nobody"}, ["character_id"]),
    ("profile_pictures", {"character": MIA, "set_id": "none"}, ["set_id"]),
    ("profile_pictures", {"character_id": "nobody", "set_id": "none"}, ["character_id", "set_id"]),
    ("studio", {"character": MIA, "workflow": {}}, ["workflow"]),
    ("studio", {"character": MIA, "workflow": drawing(seed=-1)}, ["workflow.5.inputs.seed"]),
    ("studio", {"character": MIA, "workflow": drawing(), "provider": "fal"}, ["provider"]),
    ("studio", {"character": MIA, "workflow": drawing(), "model": "x"}, ["model"]),
    ("studio", {"character": MIA | {"lora": {"key": "x", "trigger_word": "mia7"}}}, ["character.lora.key"]),
    (
        "studio",
        {"character": MIA | {"lora": {"key": "others/x.safetensors", "trigger_word": "mia7"}}},
        ["character.lora.key"],
    ),
    ("studio", {"character": MIA, "prompt": "a child on a beach"}, ["prompt"]),
    ("studio", {"character": MIA, "mode": "lora"}, ["mode"]),
    ("studio", {"character": MIA, "mode": "face_swap"}, ["character.base_image_id"]),
    ("studio", {"character": MIA, "wait_for_lora": True}, ["wait_for_lora"]),
    ("character_sheet", SHEET | {"only": [1, 1]}, ["only.1"]),
    ("character_sheet", SHEET | {"then": [{"type": "profile_pictures", "set_id": "no"}]}, ["then.0.set_id"]),
    ("lora_training", TRAINING | {"trigger_word": " "}, ["trigger_word"]),
)


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    renders = tuple(a_render(at, stored=a_stored_image(JOB, at), state="done") for at in range(4))
    harness.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    return harness


def words_of_the_rejection(kind: str, body: dict[str, Any]) -> list[str]:
    then = body.get("then", ())
    request = {name: value for name, value in body.items() if name != "then"} | {"type": kind}
    known = {"job_id": JOB, "tenant": "acme", "user_id": "ann", "request": request, "then": then}
    asked = GenerationRequested.model_validate(known)
    character = MARA if body.get("character_id") == "c" else None
    rejected = plan(asked, character=character, requested_at=START, catalogue=default_catalogue())
    assert isinstance(rejected, GenerationRejected)
    return [reason.message for reason in rejected.reasons]


@pytest.mark.parametrize(("kind", "body", "fields"), REFUSED)
async def test_a_request_that_would_be_rejected_is_refused_with_the_same_words(
    harness: ApiHarness, kind: str, body: dict[str, Any], fields: list[str]
) -> None:
    harness.chains.put(a_character_record(character_id="c"))
    answer = await harness.http.post(PATHS[kind], json=body)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert [error["field"] for error in errors] == fields
    assert [error["message"] for error in errors] == words_of_the_rejection(kind, body)
    assert harness.broker.sent == []
    assert harness.submissions.kept == {}


async def test_fields_that_are_refused_only_in_combination_are_refused(harness: ApiHarness) -> None:
    answer = await harness.submit(scene="16", prompt="years old")
    together = words_of_the_rejection("studio", {"character": MIA, "scene": "16", "prompt": "years old"})
    assert answer.status_code == 422
    assert [error["message"] for error in answer.json()["errors"]] == together


async def test_the_age_of_a_stored_character_is_checked(harness: ApiHarness) -> None:
    young = MARA.model_copy(update={"age": 17})
    harness.chains.put(a_character_record(character_id="c", character=young))
    answer = await harness.http.post("/v1/studio", json={"character_id": "c"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "must be at least 18, is 17; only adults can be drawn"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"character": MIA | {"age": 17}}, "character.age"),
        ({"then": [{"type": "profile_pictures", "set_id": "none"}]}, "then.0.set_id"),
        ({"then": [{"type": "studio", "workflow": {}}]}, "then.0.workflow"),
    ],
)
async def test_a_choice_of_face_is_checked_as_the_sheet_that_it_requests(
    harness: ApiHarness, fields: dict[str, Any], field: str
) -> None:
    body = {"base_image_id": f"{JOB}/0"} | fields
    answer = await harness.http.post("/v1/characters/c/base-image", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_character_below_18_cannot_be_created(harness: ApiHarness) -> None:
    answer = await harness.http.post("/v1/characters", json={"character": MIA | {"age": "17"}})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["character.age"]


async def test_a_repetition_of_an_accepted_request_is_not_checked_again(
    harness: ApiHarness,
) -> None:
    harness.chains.put(a_character_record(character_id="c"))
    body, headers = {"character_id": "c"}, {"Idempotency-Key": "k"}
    first = await harness.http.post("/v1/studio", json=body, headers=headers)
    harness.chains.characters.clear()
    again = await harness.http.post("/v1/studio", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = await harness.http.post("/v1/studio", json=body | {"count": 2}, headers=headers)
    assert other.status_code == 409
