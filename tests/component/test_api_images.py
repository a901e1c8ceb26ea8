"""Images named by requests over HTTP: a request that names an unknown job is refused."""

from typing import Any

import httpx
import pytest

from contracts.chains import BaseImageSelected
from shared.ids import uuid7
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.builders import CHARACTER, JOB
from tests.fakes.characters import MARA, a_character_record
from tests.fakes.jobs import a_job, a_render, a_stored_image

MIA = {"name": "Mia", "age": 27}
GONE = "018f3b6a-7c1d-7e2f-9a3b-000000000404"


@pytest.fixture
def harness() -> ApiHarness:
    harness = ApiHarness()
    harness.chains.put(a_character_record())
    return harness


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


async def ask(harness: ApiHarness, kind: str, job_id: str, **headers: Any) -> httpx.Response:
    path, body, _ = naming(job_id)[kind]
    return await harness.http.post(path, json=body, **headers)


def errors_of(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


@pytest.mark.parametrize("kind", naming(GONE))
async def test_an_image_of_a_job_that_does_not_exist_is_refused_by_field(
    harness: ApiHarness, kind: str
) -> None:
    assert errors_of(await ask(harness, kind, GONE)) == {naming(GONE)[kind][2]: f"job {GONE} does not exist"}
    assert harness.broker.sent == []


@pytest.mark.parametrize("kind", ["sheet", "studio", "character"])
async def test_another_tenants_job_does_not_exist(harness: ApiHarness, kind: str) -> None:
    harness.jobs.put(a_job(job_id=JOB))
    theirs = (await harness.submit("/v1/base-images")).json()["id"]
    for job_id in (JOB, theirs):
        answer = await ask(harness, kind, job_id, headers=OTHER)
        assert list(errors_of(answer).values()) == [f"job {job_id} does not exist"]


@pytest.mark.parametrize("kind", naming(GONE))
async def test_an_accepted_job_can_be_named(harness: ApiHarness, kind: str) -> None:
    accepted = (await harness.submit("/v1/studio", count=4)).json()["id"]
    answer = await ask(harness, kind, accepted)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("kind", naming(GONE))
async def test_a_job_that_came_over_kafka_can_be_named(harness: ApiHarness, kind: str) -> None:
    harness.jobs.put(a_job(job_id=JOB, renders=tuple(map(a_render, range(4)))))
    answer = await ask(harness, kind, JOB)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("kind", naming(GONE))
async def test_an_image_that_a_job_does_not_have_is_refused_by_field(harness: ApiHarness, kind: str) -> None:
    failed = tuple(a_render(index, state="failed") for index in range(4))
    harness.jobs.put(a_job(job_id=JOB, renders=failed, status="failed", phase=None))
    answer = await ask(harness, kind, JOB)
    assert next(iter(errors_of(answer).items())) == (naming(JOB)[kind][2], f"job {JOB} has no image 0")
    assert harness.broker.sent == []


async def test_a_training_has_no_images_to_name(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, type="lora_training"))
    message = f"job {JOB} is a training and has no images"
    assert errors_of(await ask(harness, "sheet", JOB)) == {"base_image_id": message}


async def test_an_image_beyond_the_count_of_an_accepted_request_is_refused(harness: ApiHarness) -> None:
    accepted = (await harness.submit("/v1/studio", count=2)).json()["id"]
    images = [f"{accepted}/{place}" for place in range(4)]
    body = {"character_id": CHARACTER, "images": images, "trigger_word": "mkvrtz"}
    assert errors_of(await harness.http.post("/v1/lora-trainings", json=body)) == {
        f"images.{place}": f"job {accepted} has no image {place}" for place in (2, 3)
    }


async def test_an_image_of_a_job_without_a_plan_can_be_named(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, renders=(), phase="waiting_for_character", requested=3))
    assert (await ask(harness, "sheet", JOB)).status_code == 202


async def test_the_creation_of_a_character_cannot_be_named_as_a_job(harness: ApiHarness) -> None:
    await harness.http.post("/v1/characters", json={"id": "char-1", "character": MIA})
    [kept] = harness.submissions.kept
    assert list(errors_of(await ask(harness, "sheet", kept)).values()) == [f"job {kept} does not exist"]


async def test_each_unknown_job_of_a_training_is_named_once(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, renders=(a_render(0), a_render(1))))
    other = uuid7()
    images = [f"{JOB}/0", f"{GONE}/0", f"{GONE}/1", f"{other}/0", f"{JOB}/1"]
    body = {"character_id": CHARACTER, "images": images, "trigger_word": "mkvrtz"}
    answer = await harness.http.post("/v1/lora-trainings", json=body)
    assert errors_of(answer) == {
        "images.1": f"job {GONE} does not exist",
        "images.3": f"job {other} does not exist",
    }


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (f"{GONE}/1", f"job {GONE} does not exist"),
        (f"{JOB}/7", f"job {JOB} has no image 7"),
    ],
)
async def test_a_face_that_cannot_be_chosen_is_refused_with_the_reason(
    harness: ApiHarness, image: str, message: str
) -> None:
    renders = (a_render(0), a_render(1, stored=a_stored_image(JOB, 1), state="done"))
    harness.jobs.put(a_job(job_id=JOB, type="base_image", renders=renders, character=MARA))
    body = {"base_image_id": image, "character": MIA}
    assert errors_of(await harness.http.post("/v1/characters/c/base-image", json=body)) == {
        "base_image_id": message
    }


async def test_an_image_of_an_ended_job_that_it_did_not_draw_cannot_be_selected(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, renders=(a_render(0),), character=MARA, status="failed"))
    answer = await select(harness, f"{JOB}/0")
    assert errors_of(answer) == {"base_image_id": f"job {JOB} has no image 0"}


async def test_an_image_of_a_running_job_can_be_selected(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, renders=(a_render(0),), character=MARA, status="running"))
    answer = await select(harness, f"{JOB}/0")
    assert answer.status_code == 202, answer.text
    [selection] = harness.broker.published(BaseImageSelected)
    assert (selection.base_image_id, selection.job_accepted) == (f"{JOB}/0", True)


async def test_an_image_of_a_job_that_was_accepted_a_moment_ago_can_be_selected(harness: ApiHarness) -> None:
    accepted = (await harness.submit("/v1/base-images")).json()["id"]
    answer = await select(harness, f"{accepted}/0")
    assert answer.status_code == 202, answer.text
    assert (await harness.http.get("/v1/characters/c")).json()["character"][
        "base_image_id"
    ] == f"{accepted}/0"
    studio = await harness.http.post("/v1/studio", json={"character_id": "c"})
    assert studio.status_code == 202, studio.text


async def test_an_image_that_an_accepted_job_will_not_draw_cannot_be_selected(
    harness: ApiHarness,
) -> None:
    accepted = (await harness.submit("/v1/base-images")).json()["id"]
    assert errors_of(await select(harness, f"{accepted}/9")) == {
        "base_image_id": f"job {accepted} has no image 9"
    }


async def select(harness: ApiHarness, image: str) -> httpx.Response:
    return await harness.http.post("/v1/characters/c/base-image", json={"base_image_id": image})


async def test_an_accepted_request_can_be_repeated_after_its_job_is_deleted(harness: ApiHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB))
    key = {"Idempotency-Key": "k"}
    first = await ask(harness, "sheet", JOB, headers=key)
    harness.jobs.kept.clear()
    again = await ask(harness, "sheet", JOB, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
