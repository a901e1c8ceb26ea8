"""Characters over HTTP: created under any id, and named by requests as soon as they are accepted."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from contracts.characters import CharacterCreated, ChosenFace
from prompts.trigger_words import trigger_word
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.builders import JOB, LORA
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image

WIZARD = {"name": "Mara", "age": 27, "appearance": {"hair_color": "auburn"}}
IDS = ("char-123", "auth0|5f7c", "Mara Lind", "é-1", "50%", "a?b#c", "ABC", "-", "x" * 128)


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    renders = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    harness.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    return harness


async def create(
    harness: ApiHarness, character_id: str | None = "char-123", key: str | None = None, **fields: Any
) -> httpx.Response:
    body = {"character": WIZARD | fields} | ({"id": character_id} if character_id else {})
    headers = {"Idempotency-Key": key} if key else {}
    return await harness.http.post("/v1/characters", json=body, headers=headers)


async def select(harness: ApiHarness, character_id: str = "char-123") -> httpx.Response:
    path = f"/v1/characters/{quote(character_id, safe='')}/base-image"
    return await harness.http.post(path, json={"base_image_id": f"{JOB}/1"})


async def read(harness: ApiHarness, character_id: str, **headers: Any) -> httpx.Response:
    return await harness.http.get(f"/v1/characters/{quote(character_id, safe='')}", **headers)


async def studio(harness: ApiHarness, character_id: str = "char-123", **fields: Any) -> httpx.Response:
    return await harness.http.post("/v1/studio", json={"character_id": character_id} | fields)


@pytest.mark.parametrize("character_id", IDS)
async def test_a_character_is_created_and_read_under_the_callers_own_id(
    harness: ApiHarness, character_id: str
) -> None:
    answer = await create(harness, character_id)
    assert answer.status_code == 202, answer.text
    [created] = harness.broker.published(CharacterCreated)
    assert (created.character_id, created.tenant, created.character.name) == (character_id, "acme", "Mara")
    view = answer.json()
    assert (view["id"], view["state"], view["lora_state"]) == (character_id, "pending", "none")
    assert (await harness.http.get(answer.headers["Location"])).json() == view
    harness.chains.put(a_character_record(character_id=character_id))
    assert (await read(harness, character_id)).json()["state"] == "stored"


@pytest.mark.parametrize("character_id", ["", "a/b", "a\\b", ".", "..", " a", "a ", "a\nb", "x" * 129, 7])
async def test_an_id_that_cannot_be_part_of_an_address_is_refused(
    harness: ApiHarness, character_id: object
) -> None:
    answer = await harness.http.post("/v1/characters", json={"id": character_id, "character": WIZARD})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["id"]


async def test_a_character_without_an_id_gets_one(harness: ApiHarness) -> None:
    first, second = await create(harness, None), await create(harness, None)
    assert first.json()["id"] != second.json()["id"]
    assert (await studio(harness, first.json()["id"])).status_code == 202


async def test_a_uuid_in_upper_case_is_the_same_id(harness: ApiHarness) -> None:
    await create(harness, JOB.upper())
    assert (await read(harness, JOB)).json()["id"] == JOB


async def test_a_repeated_creation_returns_the_same_character(harness: ApiHarness) -> None:
    first = await create(harness, key="k")
    assert (await create(harness)).json() == (await create(harness, key="k")).json() == first.json()
    assert len(harness.broker.published(CharacterCreated)) == 1
    without_id = await create(harness, None, key="other")
    assert (await create(harness, None, key="other")).json()["id"] == without_id.json()["id"]


async def test_another_user_of_the_tenant_repeats_a_creation(harness: ApiHarness) -> None:
    first = await create(harness)
    again = await harness.http.post(
        "/v1/characters",
        json={"id": "char-123", "character": WIZARD},
        headers={"X-Tenant-Id": "acme", "X-User-Id": "bob"},
    )
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(harness.broker.published(CharacterCreated)) == 1


async def test_fields_that_the_service_sets_are_refused_in_a_creation(harness: ApiHarness) -> None:
    lora = {"key": "acme/mara.safetensors", "trigger_word": "mar"}
    answer = await create(harness, trigger_word="mar", lora=lora)
    assert answer.status_code == 422
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == {
        "character.trigger_word": "is derived from the character's id and cannot be set; leave it out",
        "character.lora": "is set when a training ends and cannot be set here; leave it out",
    }
    assert (await create(harness, trigger_word=trigger_word("char-123"))).status_code == 202


@pytest.mark.parametrize(("character_id", "key"), [("char-123", None), ("char-123", "k"), ("another", "k")])
async def test_another_character_under_the_same_id_or_key_is_a_conflict(
    harness: ApiHarness, character_id: str, key: str | None
) -> None:
    await create(harness, key="k")
    answer = await create(harness, character_id, key=key, name="Ida")
    assert answer.status_code == 409
    word = "Idempotency-Key" if key else "character id"
    assert answer.json()["detail"] == f"{word} already belongs to a different request; use a new one"


async def test_a_character_stored_by_a_choice_of_face_is_not_replaced(harness: ApiHarness) -> None:
    await select(harness)
    assert (await create(harness)).status_code == 409
    harness.chains.put(a_character_record(character_id="stored"))
    assert (await create(harness, "stored")).status_code == 409
    assert (await create(harness, "stored", name="Mara", age=27, appearance={})).status_code == 202


async def test_a_job_with_the_key_of_a_character_is_a_conflict(harness: ApiHarness) -> None:
    await create(harness, key="k")
    answer = await harness.submit(headers={"Idempotency-Key": "k"})
    assert answer.status_code == 409


async def test_a_creation_is_not_listed_as_a_job(harness: ApiHarness) -> None:
    await create(harness)
    [kept] = harness.submissions.kept
    assert (await harness.http.get(f"/v1/jobs/{kept}")).status_code == 404
    listed = (await harness.http.get("/v1/jobs")).json()["jobs"]
    assert [job["id"] for job in listed] == [JOB]


async def test_two_tenants_have_characters_of_the_same_id(harness: ApiHarness) -> None:
    await create(harness)
    assert (await read(harness, "char-123", headers=OTHER)).status_code == 404
    body = {"id": "char-123", "character": {"name": "Ida", "age": 30}}
    assert (await harness.http.post("/v1/characters", json=body, headers=OTHER)).status_code == 202
    assert (await read(harness, "char-123")).json()["character"]["name"] == "Mara"
    assert (await read(harness, "char-123", headers=OTHER)).json()["character"]["name"] == "Ida"


@pytest.mark.parametrize("make", [create, select])
async def test_an_accepted_character_can_be_read_and_requested_at_once(
    harness: ApiHarness, make: Any
) -> None:
    assert (await make(harness)).status_code == 202
    view = (await read(harness, "char-123")).json()
    assert (view["state"], view["character"]["name"]) == ("pending", "Mara")
    assert view["character"]["trigger_word"] == trigger_word("char-123")
    answer = await studio(harness, wait_for_lora=True)
    assert answer.status_code == 202, answer.text
    [asked] = harness.broker.requests()
    assert asked.character_accepted, "the dispatcher waits for it"
    assert (await harness.http.post("/v1/base-images", json={"character_id": "char-123"})).status_code == 202


async def test_a_request_does_not_wait_for_a_stored_character(harness: ApiHarness) -> None:
    harness.chains.put(a_character_record(character_id="char-123"))
    await studio(harness)
    [asked] = harness.broker.requests()
    assert not asked.character_accepted


async def test_another_face_of_a_stored_character_can_be_named_as_soon_as_it_is_accepted(
    harness: ApiHarness,
) -> None:
    """Before, the record won whatever its age, and the picture was refused or had the former face."""
    harness.chains.put(a_character_record(character_id="char-123"))
    chain = (await select(harness)).json()["id"]
    view = (await read(harness, "char-123")).json()
    assert (view["state"], view["character"]["base_image_id"]) == ("pending", f"{JOB}/1")
    assert view["selected_at"] is not None
    answer = await studio(harness, mode="face_swap")
    assert answer.status_code == 202, answer.text
    [asked] = harness.broker.requests()
    assert (asked.character_accepted, asked.awaited_choice) == (True, chain)
    harness.wait(5)
    face = ChosenFace(base_image_id=f"{JOB}/1", chain_id=chain, at=harness.time)
    stored = MARA.model_copy(update={"base_image_id": f"{JOB}/1"})
    harness.chains.put(a_character_record(character_id="char-123", character=stored, faces=(face,)))
    assert (await read(harness, "char-123")).json()["state"] == "stored"
    await studio(harness, mode="face_swap")
    assert harness.broker.requests()[-1].awaited_choice is None


async def test_the_lora_of_the_former_face_is_not_shown_beside_the_new_one(harness: ApiHarness) -> None:
    former = MARA.model_copy(update={"base_image_id": f"{JOB}/0", "lora": LORA})
    fields = {"character": former, "lora_state": "ready", "selected_at": harness.time}
    harness.chains.put(a_character_record(character_id="char-123", **fields))
    harness.wait(1)
    await select(harness)
    view = (await read(harness, "char-123")).json()
    assert (view["lora_state"], view["character"]["lora"]) == ("none", None)


async def test_a_request_does_not_wait_for_a_choice_older_than_the_record(harness: ApiHarness) -> None:
    await select(harness)
    harness.wait(5)
    record = a_character_record(character_id="char-123", selected_at=harness.time)
    harness.chains.put(record)
    await studio(harness)
    [asked] = harness.broker.requests()
    assert (asked.character_accepted, asked.awaited_choice) == (False, None)


@pytest.mark.parametrize("steps", [(create, select), (select, create)])
async def test_a_face_chosen_around_a_creation_is_the_characters_face(
    harness: ApiHarness, steps: Any
) -> None:
    for step in steps:
        answer = await step(harness)
        assert answer.status_code in (202, 409), answer.text
        harness.wait(1)
    assert (await read(harness, "char-123")).json()["character"]["base_image_id"] == f"{JOB}/1"
    assert (await studio(harness, mode="face_swap")).status_code == 202


async def test_the_character_that_a_chain_describes_can_be_named_at_once(harness: ApiHarness) -> None:
    sheet = {"character": WIZARD, "base_image_id": f"{JOB}/1", "then": [{"type": "lora_training"}]}
    chain_id = (await harness.http.post("/v1/character-sheets", json=sheet)).json()["id"]
    view = (await read(harness, chain_id)).json()
    assert (view["state"], view["character"]["base_image_id"]) == ("pending", f"{JOB}/1")
    assert (await studio(harness, chain_id, mode="face_swap")).status_code == 202


async def test_a_job_without_a_chain_stores_no_character(harness: ApiHarness) -> None:
    sheet = {"character": WIZARD, "base_image_id": f"{JOB}/1"}
    job_id = (await harness.http.post("/v1/character-sheets", json=sheet)).json()["id"]
    assert (await read(harness, job_id)).status_code == 404
