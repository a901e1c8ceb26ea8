"""Requests over HTTP: accepted once, also with repetitions and while Kafka is away."""

import asyncio

import pytest

from shared.ids import uuid7
from tests.fakes.api import OTHER, ApiHarness
from tests.fakes.builders import CHARACTER as CHARACTER_ID
from tests.fakes.builders import JOB
from tests.fakes.characters import a_character_record
from tests.fakes.jobs import a_job, a_render

BASE_IMAGE_ID = f"{JOB}/0"
IMAGE_IDS = [f"{JOB}/{index}" for index in range(4)]
CHARACTER = {"name": "Mia", "age": 27}


@pytest.fixture
def harness() -> ApiHarness:
    return ApiHarness()


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/base-images", {"character": CHARACTER}, "base_image"),
        ("/v1/character-sheets", {"character": CHARACTER, "base_image_id": BASE_IMAGE_ID}, "character_sheet"),
        ("/v1/studio", {"character": CHARACTER, "count": 4}, "studio"),
        ("/v1/profile-pictures", {"character_id": CHARACTER_ID, "set_id": "dating"}, "profile_pictures"),
        (
            "/v1/lora-trainings",
            {"character_id": CHARACTER_ID, "images": IMAGE_IDS, "trigger_word": "mia7"},
            "lora_training",
        ),
    ],
)
async def test_each_type_of_request_is_accepted_and_published(
    harness: ApiHarness, path: str, body: dict[str, object], kind: str
) -> None:
    harness.chains.put(a_character_record())
    harness.jobs.put(a_job(job_id=JOB, renders=tuple(map(a_render, range(4)))))
    answer = await harness.http.post(path, json=body)
    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert (view["type"], view["status"], view["phase"]) == (kind, "pending", "queued")
    assert answer.headers["Location"] == f"/v1/jobs/{view['id']}"
    [request] = harness.broker.requests()
    assert (request.job_id, request.tenant, request.user_id) == (view["id"], "acme", "ann")
    assert request.request.type == kind
    assert request.requested_at == harness.time


async def test_a_published_message_leaves_the_outbox(harness: ApiHarness) -> None:
    await harness.submit()
    await asyncio.sleep(0)
    assert harness.submissions.outbox.entries == {}
    assert await harness.sweep() == 0


async def test_the_same_key_and_body_give_the_same_job(harness: ApiHarness) -> None:
    first = await harness.submit(headers={"Idempotency-Key": "k"})
    again = await harness.submit(headers={"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert len(harness.broker.requests()) == 1


async def test_the_same_key_with_another_body_is_a_conflict(harness: ApiHarness) -> None:
    await harness.submit(headers={"Idempotency-Key": "k"})
    answer = await harness.submit(headers={"Idempotency-Key": "k"}, count=2)
    assert answer.status_code == 409
    assert "Idempotency-Key" in answer.json()["detail"]
    assert len(harness.broker.requests()) == 1


async def test_the_same_key_of_another_user_is_a_conflict(harness: ApiHarness) -> None:
    await harness.submit(headers={"Idempotency-Key": "k"})
    answer = await harness.submit(headers={"Idempotency-Key": "k", "X-User-Id": "bob"})
    assert answer.status_code == 409


async def test_the_same_key_of_two_tenants_gives_two_jobs(harness: ApiHarness) -> None:
    first = await harness.submit(headers={"Idempotency-Key": "k"})
    other = await harness.submit(headers=OTHER | {"Idempotency-Key": "k"}, count=2)
    assert other.status_code == 202
    assert first.json()["id"] != other.json()["id"]


async def test_the_same_job_id_and_body_give_the_same_job(harness: ApiHarness) -> None:
    job_id = uuid7()
    first = await harness.submit(job_id=job_id)
    again = await harness.submit(job_id=job_id)
    assert (first.json()["id"], again.json()["id"]) == (job_id, job_id)
    assert len(harness.broker.requests()) == 1


async def test_the_same_job_id_with_another_body_is_a_conflict(harness: ApiHarness) -> None:
    job_id = uuid7()
    await harness.submit(job_id=job_id)
    answer = await harness.submit(job_id=job_id, count=2)
    assert answer.status_code == 409
    assert "job_id" in answer.json()["detail"]


async def test_a_job_id_of_another_tenant_is_a_conflict(harness: ApiHarness) -> None:
    job_id = uuid7()
    await harness.submit(job_id=job_id)
    assert (await harness.submit(headers=OTHER, job_id=job_id)).status_code == 409


async def test_a_job_id_of_a_job_from_kafka_is_a_conflict(harness: ApiHarness) -> None:
    job = harness.jobs.put(a_job())
    assert (await harness.submit(job_id=job.job_id)).status_code == 409


async def test_a_key_that_belongs_to_another_job_id_is_a_conflict(harness: ApiHarness) -> None:
    await harness.submit(headers={"Idempotency-Key": "k"}, job_id=uuid7())
    answer = await harness.submit(headers={"Idempotency-Key": "k"}, job_id=uuid7())
    assert answer.status_code == 409


async def test_concurrent_requests_with_the_same_key_give_one_job(harness: ApiHarness) -> None:
    answers = await asyncio.gather(*(harness.submit(headers={"Idempotency-Key": "k"}) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_requests_accepted_while_kafka_is_away_are_published_when_it_is_back(
    harness: ApiHarness,
) -> None:
    harness.broker.away = True
    answers = [await harness.submit() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert harness.broker.tries == 1, "once it is known to be away, callers do not wait for it"
    harness.broker.away = False
    assert await harness.sweep() == 3
    assert [request.job_id for request in harness.broker.requests()] == [
        answer.json()["id"] for answer in answers
    ]
    assert await harness.sweep() == 0


async def test_the_callers_trace_is_continued(harness: ApiHarness) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await harness.submit(headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    [envelope] = harness.broker.sent
    assert trace.encode() in dict(envelope.headers)["traceparent"]
