"""A stream of a job without a document: open when its request was accepted, else 404 after a wait."""

import asyncio

import pytest

from services.notifier.unknown_jobs import READ_SECONDS, READS
from tests.fakes.jobs import a_story, job_of
from tests.fakes.notifier import NotifierHarness, frames_of

STORY = a_story("accepted", "started", "image_ready", "completed")
JOB = STORY[0].job_id
PATH = f"/v1/jobs/{JOB}/events"


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


def seconds_now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_job_that_does_not_exist_is_404_after_three_seconds(harness: NotifierHarness) -> None:
    before = seconds_now()
    answer = await harness.http.get(PATH)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"job {JOB} does not exist"
    assert READS * READ_SECONDS == 3
    assert 3 <= seconds_now() - before < 4
    assert len(harness.broadcaster) == 0, "the connection is forgotten"


async def test_a_request_accepted_over_http_is_followed_even_if_its_job_starts_late(
    harness: NotifierHarness,
) -> None:
    harness.submissions.kept[JOB] = "acme"
    task = asyncio.create_task(harness.http.get(PATH))
    await asyncio.sleep(60)
    assert not task.done()
    harness.say(*STORY)
    answer = await task
    assert answer.status_code == 200
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


async def test_another_tenants_accepted_request_is_404(harness: NotifierHarness) -> None:
    harness.submissions.kept[JOB] = "globex"
    assert (await harness.http.get(PATH)).status_code == 404


async def test_a_job_that_arrives_over_kafka_during_the_wait_is_followed_from_its_document(
    harness: NotifierHarness,
) -> None:
    task = asyncio.create_task(harness.http.get(PATH))
    await asyncio.sleep(1)
    harness.jobs.put(job_of(STORY))
    answer = await task
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


async def test_a_job_that_arrives_over_kafka_during_the_wait_is_followed_from_its_events(
    harness: NotifierHarness,
) -> None:
    task = asyncio.create_task(harness.http.get(PATH))
    await asyncio.sleep(1)
    harness.say(*STORY)
    answer = await task
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("path", [PATH, "/v1/users/me/events"])
async def test_headers_forbid_proxies_to_compress_or_buffer_a_stream(
    harness: NotifierHarness, path: str
) -> None:
    harness.jobs.put(job_of(STORY))
    task = asyncio.create_task(harness.http.get(path))
    await asyncio.sleep(1)
    harness.broadcaster.close()
    headers = (await task).headers
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
