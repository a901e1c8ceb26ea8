"""Chains over HTTP: the choice of a face, and the state, cancellation and resumption of chains."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from contracts.base import Id
from contracts.chains import BaseImageSelected, Chain, ChainCancel, ChainResume
from contracts.jobs import Render
from contracts.requests import StudioFollowUp, TrainingFollowUp
from services.characters.chains import ChainMessage, advance
from shared.ids import uuid7
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.builders import CHARACTER, JOB, START
from tests.fakes.characters import MARA, POLICIES, a_beginning, a_character_record, a_failure, images
from tests.fakes.jobs import a_job, a_render, a_stored_image

SHEET = {"character": {"name": "Mia", "age": 27}, "base_image_id": f"{JOB}/0"}


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    harness.jobs.put(the_faces())
    return harness


def the_faces(**fields: Any) -> Any:
    renders: tuple[Render, ...] = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    known: dict[str, Any] = {"job_id": JOB, "type": "base_image", "renders": renders, "character": MARA}
    return a_job(**known | fields)


async def select(
    harness: ApiHarness, character_id: Id = CHARACTER, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    body = {"base_image_id": f"{JOB}/1"} | fields
    return await harness.http.post(f"/v1/characters/{character_id}/base-image", json=body, headers=headers)


def a_chain(*, failed: bool = False, **fields: Any) -> Chain:
    """A chain as the characters service would have written it, after half of its sheet."""
    news: list[ChainMessage] = [a_beginning(), *images([0, 2]), *([a_failure()] if failed else [])]
    chain = None
    for message in news:
        chain, _ = advance(chain, message, at=START, policies=POLICIES)
    assert chain is not None
    return chain.model_copy(update=fields)


async def test_a_chosen_face_is_published_and_its_chain_can_be_read_at_once(harness: ApiHarness) -> None:
    answer = await select(harness, include_nsfw=True, notify={"webhook_url": "https://a.example"})
    assert answer.status_code == 202, answer.text
    [selected] = harness.broker.published(BaseImageSelected)
    assert (selected.character_id, selected.tenant, selected.user_id) == (CHARACTER, "acme", "ann")
    assert (selected.base_image_id, selected.include_nsfw) == (f"{JOB}/1", True)
    assert selected.notify.webhook_url == "https://a.example"
    view = answer.json()
    assert view["id"] == selected.chain_id
    assert answer.headers["Location"] == f"/v1/chains/{view['id']}"
    assert [(step["type"], step["state"]) for step in view["steps"]] == [
        ("character_sheet", "running"),
        ("lora_training", "waiting"),
    ]
    assert (await harness.http.get(f"/v1/chains/{view['id']}")).json() == view
    job = (await harness.http.get(f"/v1/jobs/{view['id']}")).json()
    assert (job["type"], job["requested"], job["chain_id"]) == ("character_sheet", 7, view["id"])


async def test_a_selection_names_its_follow_ups(harness: ApiHarness) -> None:
    then = [{"type": "lora_training"}, {"type": "studio", "scene": "beach"}]
    answer = await select(harness, then=then)
    assert [step["type"] for step in answer.json()["steps"]] == ["character_sheet", "lora_training", "studio"]
    [selected] = harness.broker.published(BaseImageSelected)
    assert selected.then == (TrainingFollowUp(), StudioFollowUp(scene="beach"))


async def test_the_same_key_gives_the_same_selection(harness: ApiHarness) -> None:
    first = await select(harness, headers={"Idempotency-Key": "k"})
    harness.wait(5)
    again = await select(harness, headers={"Idempotency-Key": "k"})
    assert first.json()["id"] == again.json()["id"]
    assert len(harness.broker.published(BaseImageSelected)) == 1
    for other in (
        await select(harness, headers={"Idempotency-Key": "k"}, include_nsfw=True),
        await select(harness, uuid7(), headers={"Idempotency-Key": "k"}),
    ):
        assert other.status_code == 409


async def test_a_selection_with_the_key_of_a_submission_is_a_conflict(harness: ApiHarness) -> None:
    await harness.submit(headers={"Idempotency-Key": "k"})
    assert (await select(harness, headers={"Idempotency-Key": "k"})).status_code == 409


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_image_id": f"{JOB}/7"}, "base_image_id"),
        ({"base_image_id": f"{uuid7()}/1"}, "base_image_id"),
        ({"base_image_id": "face.png"}, "base_image_id"),
        ({"then": [{"type": "base_image"}]}, "then.0.type"),
        ({"then": [{"type": "studio", "workflow": {"a\0": 1}}]}, "then.0.workflow"),
    ],
)
async def test_an_impossible_selection_is_refused_at_once(
    harness: ApiHarness, fields: dict[str, Any], field: str
) -> None:
    answer = await select(harness, **fields)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert harness.broker.sent == []


async def test_another_tenants_image_is_refused(harness: ApiHarness) -> None:
    answer = await select(harness, headers=OTHER, character={"name": "Mia", "age": 27})
    assert answer.status_code == 422
    assert f"job {JOB} does not exist" in answer.text


async def test_a_selection_of_an_undescribed_image_needs_a_character(harness: ApiHarness) -> None:
    harness.jobs.put(the_faces(character=None))
    answer = await select(harness)
    assert [error["field"] for error in answer.json()["errors"]] == ["character"]
    assert (await select(harness, character={"name": "Mia", "age": 27})).status_code == 202


async def test_another_tenants_character_is_404(harness: ApiHarness) -> None:
    harness.chains.put(a_character_record(tenant="other"))
    assert (await harness.http.get(f"/v1/characters/{CHARACTER}")).status_code == 404


async def test_a_character_shows_its_description_and_the_state_of_its_lora(harness: ApiHarness) -> None:
    harness.chains.put(a_character_record(lora_state="training"))
    view = (await harness.http.get(f"/v1/characters/{CHARACTER}")).json()
    assert (view["id"], view["character"]["trigger_word"]) == (CHARACTER, "qdvhzmwn")
    assert (view["lora_state"], view["character"]["lora"]) == ("training", None)
    assert "tenant" not in view


@pytest.mark.parametrize("path", ["/v1/character-sheets", "/v1/lora-trainings"])
async def test_a_request_may_name_follow_ups(harness: ApiHarness, path: str) -> None:
    training = {"character_id": CHARACTER, "images": [f"{JOB}/{n}" for n in range(4)], "trigger_word": "mia7"}
    harness.jobs.put(a_job(job_id=JOB, renders=tuple(map(a_render, range(4)))))
    harness.chains.put(a_character_record())
    body: dict[str, Any] = SHEET if path == "/v1/character-sheets" else training
    answer = await harness.http.post(path, json=body | {"then": [{"type": "studio", "count": 2}]})
    job = answer.json()
    assert job["chain_id"] == job["id"]
    [request] = harness.broker.requests()
    assert request.then == (StudioFollowUp(count=2),)
    view = (await harness.http.get(f"/v1/chains/{job['id']}")).json()
    assert [step["type"] for step in view["steps"]] == [job["type"], "studio"]
    assert view["character_id"] == (job["id"] if body is SHEET else CHARACTER)


async def test_a_request_without_follow_ups_starts_no_chain(harness: ApiHarness) -> None:
    job = (await harness.http.post("/v1/character-sheets", json=SHEET)).json()
    assert job["chain_id"] is None
    assert (await harness.http.get(f"/v1/chains/{job['id']}")).status_code == 404


async def test_a_repetition_with_other_follow_ups_is_a_conflict(harness: ApiHarness) -> None:
    headers = {"Idempotency-Key": "k"}
    then = [{"type": "studio"}]
    first = await harness.http.post("/v1/character-sheets", json=SHEET | {"then": then}, headers=headers)
    again = await harness.http.post("/v1/character-sheets", json=SHEET | {"then": then}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    other = await harness.http.post("/v1/character-sheets", json=SHEET, headers=headers)
    assert other.status_code == 409


async def test_a_chain_shows_each_step_with_its_jobs_and_images(harness: ApiHarness) -> None:
    harness.chains.chains[JOB] = a_chain(failed=True)
    view = (await harness.http.get(f"/v1/chains/{JOB}")).json()
    assert (view["state"], view["character_id"], view["user_id"]) == ("failed", JOB, "ann")
    sheet, training, *_ = view["steps"]
    assert (sheet["state"], sheet["job_ids"], sheet["images"]) == ("failed", [JOB], [f"{JOB}/0", f"{JOB}/2"])
    assert sheet["error"]["code"] == "provider_failed"
    assert (training["state"], training["job_ids"]) == ("waiting", [])


async def test_a_running_chain_is_cancelled(harness: ApiHarness) -> None:
    harness.chains.chains[JOB] = a_chain()
    assert (await harness.http.post(f"/v1/chains/{JOB}/cancel")).status_code == 202
    [cancel] = harness.broker.published(ChainCancel)
    assert (cancel.chain_id, cancel.tenant, cancel.requested_at) == (JOB, "acme", harness.time)


async def test_a_failed_chain_is_resumed(harness: ApiHarness) -> None:
    harness.chains.chains[JOB] = a_chain(failed=True)
    assert (await harness.http.post(f"/v1/chains/{JOB}/cancel")).status_code == 200
    assert (await harness.http.post(f"/v1/chains/{JOB}/resume")).status_code == 202
    [resume] = harness.broker.published(ChainResume)
    assert (resume.chain_id, resume.tenant) == (JOB, "acme")
    assert harness.broker.published(ChainCancel) == []


async def test_a_completed_chain_is_neither_cancelled_nor_resumed(harness: ApiHarness) -> None:
    harness.chains.chains[JOB] = a_chain(state="completed")
    for wish in ("cancel", "resume"):
        assert (await harness.http.post(f"/v1/chains/{JOB}/{wish}")).status_code == 200
    assert harness.broker.sent == []


async def test_commands_are_not_lost_while_kafka_is_away(harness: ApiHarness) -> None:
    harness.broker.away = True
    chain_id = (await select(harness)).json()["id"]
    harness.wait(1)
    assert (await harness.http.post(f"/v1/chains/{chain_id}/cancel")).status_code == 202
    harness.wait(1)
    assert (await harness.http.post(f"/v1/chains/{chain_id}/resume")).status_code == 202
    harness.broker.away = False
    assert await harness.sweep() == 3
    [cancel], [resume] = harness.broker.published(ChainCancel), harness.broker.published(ChainResume)
    assert cancel.requested_at is not None
    assert resume.requested_at == cancel.requested_at + timedelta(seconds=1)
    assert len(harness.broker.published(BaseImageSelected)) == 1
    assert await harness.sweep() == 0


@pytest.mark.parametrize("path", ["", "/cancel", "/resume"])
async def test_another_tenants_chain_is_404(harness: ApiHarness, path: str) -> None:
    harness.chains.chains[JOB] = a_chain()
    pending = (await select(harness)).json()["id"]
    sent = len(harness.broker.sent)
    for chain_id in (JOB, pending, uuid7()):
        method = "POST" if path else "GET"
        answer = await harness.http.request(method, f"/v1/chains/{chain_id}{path}", headers=OTHER)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"chain {chain_id} does not exist"
    assert len(harness.broker.sent) == sent
