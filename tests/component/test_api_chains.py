"""Chains over HTTP: a face is chosen, what follows is watched, stopped and resumed."""

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
from tests.fakes.api import OTHER, ApiBench
from tests.fakes.builders import CHARACTER, JOB, START
from tests.fakes.characters import MARA, POLICIES, a_beginning, a_character_record, a_failure, images
from tests.fakes.jobs import a_job, a_render, a_stored_image

SHEET = {"character": {"name": "Mia", "age": 27}, "base_image_id": f"{JOB}/0"}


@pytest.fixture
def bench() -> ApiBench:
    bench = ApiBench()
    bench.jobs.put(the_faces())
    return bench


def the_faces(**fields: Any) -> Any:
    renders: tuple[Render, ...] = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    known: dict[str, Any] = {"job_id": JOB, "type": "base_image", "renders": renders, "character": MARA}
    return a_job(**known | fields)


async def select(
    bench: ApiBench, character_id: Id = CHARACTER, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    body = {"base_image_id": f"{JOB}/1"} | fields
    return await bench.http.post(f"/v1/characters/{character_id}/base-image", json=body, headers=headers)


def a_chain(*, failed: bool = False, **fields: Any) -> Chain:
    """A chain as the characters service would have written it, after half of its sheet."""
    news: list[ChainMessage] = [a_beginning(), *images([0, 2]), *([a_failure()] if failed else [])]
    chain = None
    for message in news:
        chain, _ = advance(chain, message, at=START, policies=POLICIES)
    assert chain is not None
    return chain.model_copy(update=fields)


async def test_a_chosen_face_is_said_and_its_chain_can_be_read_at_once(bench: ApiBench) -> None:
    answer = await select(bench, include_nsfw=True, notify={"webhook_url": "https://a.example"})
    assert answer.status_code == 202, answer.text
    [selected] = bench.broker.said(BaseImageSelected)
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
    assert (await bench.http.get(f"/v1/chains/{view['id']}")).json() == view
    job = (await bench.http.get(f"/v1/jobs/{view['id']}")).json()
    assert (job["type"], job["requested"], job["chain_id"]) == ("character_sheet", 7, view["id"])


async def test_a_selection_says_what_is_to_follow(bench: ApiBench) -> None:
    then = [{"type": "lora_training"}, {"type": "studio", "scene": "beach"}]
    answer = await select(bench, then=then)
    assert [step["type"] for step in answer.json()["steps"]] == ["character_sheet", "lora_training", "studio"]
    [selected] = bench.broker.said(BaseImageSelected)
    assert selected.then == (TrainingFollowUp(), StudioFollowUp(scene="beach"))


async def test_the_same_key_chooses_once(bench: ApiBench) -> None:
    first = await select(bench, headers={"Idempotency-Key": "k"})
    bench.wait(5)
    again = await select(bench, headers={"Idempotency-Key": "k"})
    assert first.json()["id"] == again.json()["id"]
    assert len(bench.broker.said(BaseImageSelected)) == 1
    for other in (
        await select(bench, headers={"Idempotency-Key": "k"}, include_nsfw=True),
        await select(bench, uuid7(), headers={"Idempotency-Key": "k"}),
    ):
        assert other.status_code == 409


async def test_a_key_of_a_submission_is_no_key_of_a_selection(bench: ApiBench) -> None:
    await bench.submit(headers={"Idempotency-Key": "k"})
    assert (await select(bench, headers={"Idempotency-Key": "k"})).status_code == 409


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_image_id": f"{JOB}/0"}, "base_image_id"),
        ({"base_image_id": f"{JOB}/7"}, "base_image_id"),
        ({"base_image_id": f"{uuid7()}/1"}, "base_image_id"),
        ({"base_image_id": "face.png"}, "base_image_id"),
        ({"then": [{"type": "base_image"}]}, "then.0.type"),
        ({"then": [{"type": "studio", "workflow": {"a\0": 1}}]}, "then.0.workflow"),
    ],
)
async def test_a_selection_that_cannot_be_done_is_refused_at_once(
    bench: ApiBench, fields: dict[str, Any], field: str
) -> None:
    answer = await select(bench, **fields)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert bench.broker.sent == []


async def test_another_tenants_image_is_not_there(bench: ApiBench) -> None:
    answer = await select(bench, headers=OTHER, character={"name": "Mia", "age": 27})
    assert answer.status_code == 422
    assert f"there is no job {JOB}" in answer.text


async def test_somebody_must_say_who_is_on_the_image(bench: ApiBench) -> None:
    bench.jobs.put(the_faces(character=None))
    answer = await select(bench)
    assert [error["field"] for error in answer.json()["errors"]] == ["character"]
    assert (await select(bench, character={"name": "Mia", "age": 27})).status_code == 202


async def test_another_tenants_character_is_not_there(bench: ApiBench) -> None:
    bench.stories.put(a_character_record(tenant="other"))
    assert (await bench.http.get(f"/v1/characters/{CHARACTER}")).status_code == 404


async def test_a_character_shows_who_it_is_and_how_far_its_lora_is(bench: ApiBench) -> None:
    bench.stories.put(a_character_record(lora_state="training"))
    view = (await bench.http.get(f"/v1/characters/{CHARACTER}")).json()
    assert (view["id"], view["character"]["trigger_word"]) == (CHARACTER, "qdvhzmwn")
    assert (view["lora_state"], view["character"]["lora"]) == ("training", None)
    assert "tenant" not in view


@pytest.mark.parametrize("path", ["/v1/character-sheets", "/v1/lora-trainings"])
async def test_a_request_may_say_what_is_to_follow(bench: ApiBench, path: str) -> None:
    training = {"character_id": CHARACTER, "images": [f"{JOB}/{n}" for n in range(4)], "trigger_word": "mia7"}
    bench.stories.put(a_character_record())
    body: dict[str, Any] = SHEET if path == "/v1/character-sheets" else training
    answer = await bench.http.post(path, json=body | {"then": [{"type": "studio", "count": 2}]})
    job = answer.json()
    assert job["chain_id"] == job["id"]
    [request] = bench.broker.requests()
    assert request.then == (StudioFollowUp(count=2),)
    view = (await bench.http.get(f"/v1/chains/{job['id']}")).json()
    assert [step["type"] for step in view["steps"]] == [job["type"], "studio"]
    assert view["character_id"] == (job["id"] if body is SHEET else CHARACTER)


async def test_a_request_without_follow_ups_begins_no_chain(bench: ApiBench) -> None:
    job = (await bench.http.post("/v1/character-sheets", json=SHEET)).json()
    assert job["chain_id"] is None
    assert (await bench.http.get(f"/v1/chains/{job['id']}")).status_code == 404


async def test_what_follows_belongs_to_the_request_that_is_repeated(bench: ApiBench) -> None:
    headers = {"Idempotency-Key": "k"}
    then = [{"type": "studio"}]
    first = await bench.http.post("/v1/character-sheets", json=SHEET | {"then": then}, headers=headers)
    again = await bench.http.post("/v1/character-sheets", json=SHEET | {"then": then}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    other = await bench.http.post("/v1/character-sheets", json=SHEET, headers=headers)
    assert other.status_code == 409


async def test_a_chain_shows_each_step_with_its_jobs_and_images(bench: ApiBench) -> None:
    bench.stories.chains[JOB] = a_chain(failed=True)
    view = (await bench.http.get(f"/v1/chains/{JOB}")).json()
    assert (view["state"], view["character_id"], view["user_id"]) == ("failed", JOB, "ann")
    sheet, training, *_ = view["steps"]
    assert (sheet["state"], sheet["job_ids"], sheet["images"]) == ("failed", [JOB], [f"{JOB}/0", f"{JOB}/2"])
    assert sheet["error"]["code"] == "provider_failed"
    assert (training["state"], training["job_ids"]) == ("waiting", [])


async def test_a_running_chain_is_cancelled_once_for_all(bench: ApiBench) -> None:
    bench.stories.chains[JOB] = a_chain()
    assert (await bench.http.post(f"/v1/chains/{JOB}/cancel")).status_code == 202
    [cancel] = bench.broker.said(ChainCancel)
    assert (cancel.chain_id, cancel.tenant, cancel.requested_at) == (JOB, "acme", bench.time)


async def test_a_failed_chain_is_resumed(bench: ApiBench) -> None:
    bench.stories.chains[JOB] = a_chain(failed=True)
    assert (await bench.http.post(f"/v1/chains/{JOB}/cancel")).status_code == 200
    assert (await bench.http.post(f"/v1/chains/{JOB}/resume")).status_code == 202
    [resume] = bench.broker.said(ChainResume)
    assert (resume.chain_id, resume.tenant) == (JOB, "acme")
    assert bench.broker.said(ChainCancel) == []


async def test_a_completed_chain_is_neither_cancelled_nor_resumed(bench: ApiBench) -> None:
    bench.stories.chains[JOB] = a_chain(state="completed")
    for wish in ("cancel", "resume"):
        assert (await bench.http.post(f"/v1/chains/{JOB}/{wish}")).status_code == 200
    assert bench.broker.sent == []


async def test_wishes_are_not_lost_while_kafka_is_away(bench: ApiBench) -> None:
    bench.broker.away = True
    chain_id = (await select(bench)).json()["id"]
    bench.wait(1)
    assert (await bench.http.post(f"/v1/chains/{chain_id}/cancel")).status_code == 202
    bench.wait(1)
    assert (await bench.http.post(f"/v1/chains/{chain_id}/resume")).status_code == 202
    bench.broker.away = False
    assert await bench.sweep() == 3
    [cancel], [resume] = bench.broker.said(ChainCancel), bench.broker.said(ChainResume)
    assert cancel.requested_at is not None
    assert resume.requested_at == cancel.requested_at + timedelta(seconds=1)
    assert len(bench.broker.said(BaseImageSelected)) == 1
    assert await bench.sweep() == 0


@pytest.mark.parametrize("path", ["", "/cancel", "/resume"])
async def test_another_tenants_chain_is_not_there(bench: ApiBench, path: str) -> None:
    bench.stories.chains[JOB] = a_chain()
    pending = (await select(bench)).json()["id"]
    sent = len(bench.broker.sent)
    for chain_id in (JOB, pending, uuid7()):
        method = "POST" if path else "GET"
        answer = await bench.http.request(method, f"/v1/chains/{chain_id}{path}", headers=OTHER)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"there is no chain {chain_id}"
    assert len(bench.broker.sent) == sent
