"""Images that requests name over HTTP: their jobs are known, or the request is refused at once."""

from typing import Any

import httpx
import pytest

from shared.ids import uuid7
from tests.fakes.api import OTHER, ApiBench
from tests.fakes.builders import CHARACTER, JOB
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image

MIA = {"name": "Mia", "age": 27}
GONE = "018f3b6a-7c1d-7e2f-9a3b-000000000404"


@pytest.fixture
def bench() -> ApiBench:
    bench = ApiBench()
    bench.stories.put(a_character_record())
    return bench


def naming(job_id: str) -> dict[str, tuple[str, dict[str, Any], str]]:
    """Each request that names an image of the job: its path, its body and the field of the image."""
    face, images = f"{job_id}/0", [f"{job_id}/{place}" for place in range(4)]
    training = {"character_id": CHARACTER, "images": images, "trigger_word": "mkvrtz"}
    who = {"character": MIA | {"base_image_id": face}}
    return {
        "training": ("/v1/lora-trainings", training, "images.0"),
        "sheet": ("/v1/character-sheets", {"character": MIA, "base_image_id": face}, "base_image_id"),
        "studio": ("/v1/studio", who, "character.base_image_id"),
        "character": ("/v1/characters", who, "character.base_image_id"),
    }


async def ask(bench: ApiBench, kind: str, job_id: str, **headers: Any) -> httpx.Response:
    path, body, _ = naming(job_id)[kind]
    return await bench.http.post(path, json=body, **headers)


def said(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("kind", naming(GONE))
async def test_an_image_of_a_job_that_does_not_exist_is_refused_by_field(bench: ApiBench, kind: str) -> None:
    assert said(await ask(bench, kind, GONE)) == {naming(GONE)[kind][2]: f"there is no job {GONE}"}
    assert bench.broker.sent == []


@pytest.mark.parametrize("kind", ["sheet", "studio", "character"])
async def test_another_tenants_job_does_not_exist(bench: ApiBench, kind: str) -> None:
    bench.jobs.put(a_job(job_id=JOB))
    theirs = (await bench.submit("/v1/base-images")).json()["id"]
    for job_id in (JOB, theirs):
        answer = await ask(bench, kind, job_id, headers=OTHER)
        assert list(said(answer).values()) == [f"there is no job {job_id}"]


@pytest.mark.parametrize("kind", naming(GONE))
async def test_a_job_that_was_accepted_a_moment_ago_can_be_named(bench: ApiBench, kind: str) -> None:
    accepted = (await bench.submit("/v1/base-images")).json()["id"]
    answer = await ask(bench, kind, accepted)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("kind", naming(GONE))
async def test_a_job_that_came_over_kafka_can_be_named(bench: ApiBench, kind: str) -> None:
    bench.jobs.put(a_job(job_id=JOB))
    answer = await ask(bench, kind, JOB)
    assert answer.status_code == 202, answer.text


async def test_a_characters_creation_is_no_job(bench: ApiBench) -> None:
    await bench.http.post("/v1/characters", json={"id": "char-1", "character": MIA})
    [kept] = bench.submissions.kept
    assert list(said(await ask(bench, "sheet", kept)).values()) == [f"there is no job {kept}"]


async def test_each_unknown_job_of_a_training_is_named_once(bench: ApiBench) -> None:
    bench.jobs.put(a_job(job_id=JOB))
    other = uuid7()
    images = [f"{JOB}/0", f"{GONE}/0", f"{GONE}/1", f"{other}/0", f"{JOB}/1"]
    body = {"character_id": CHARACTER, "images": images, "trigger_word": "mkvrtz"}
    answer = await bench.http.post("/v1/lora-trainings", json=body)
    assert said(answer) == {"images.1": f"there is no job {GONE}", "images.3": f"there is no job {other}"}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (f"{GONE}/1", f"there is no job {GONE}"),
        (f"{JOB}/0", f"job {JOB} has no image 0 yet; choose one that is ready"),
        (f"{JOB}/7", f"job {JOB} has no image 7"),
    ],
)
async def test_a_face_that_cannot_be_chosen_is_refused_with_the_reason(
    bench: ApiBench, image: str, message: str
) -> None:
    renders = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    bench.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    body = {"base_image_id": image, "character": MIA}
    assert said(await bench.http.post("/v1/characters/c/base-image", json=body)) == {"base_image_id": message}


async def test_a_face_of_a_job_that_was_accepted_a_moment_ago_is_not_there_yet(bench: ApiBench) -> None:
    accepted = (await bench.submit("/v1/base-images")).json()["id"]
    answer = await bench.http.post(
        "/v1/characters/c/base-image", json={"base_image_id": f"{accepted}/0", "character": MIA}
    )
    message = f"job {accepted} has no image 0 yet; choose one that is ready"
    assert said(answer) == {"base_image_id": message}


async def test_a_request_that_was_accepted_is_repeated_although_its_job_is_gone(bench: ApiBench) -> None:
    bench.jobs.put(a_job(job_id=JOB))
    key = {"Idempotency-Key": "k"}
    first = await ask(bench, "sheet", JOB, headers=key)
    bench.jobs.kept.clear()
    again = await ask(bench, "sheet", JOB, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
