"""A stream of a job without a document: open when its request was accepted, else 404 after a short wait."""

import asyncio

import pytest

from services.notifier.unknown_jobs import LOOK_SECONDS, LOOKS
from tests.fakes.jobs import a_story, job_of
from tests.fakes.notifier import NotifierBench, frames_of

STORY = a_story("accepted", "started", "image_ready", "completed")
JOB = STORY[0].job_id
PATH = f"/v1/jobs/{JOB}/events"


@pytest.fixture
def bench() -> NotifierBench:
    return NotifierBench()


def seconds_now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_job_that_does_not_exist_is_404_after_three_seconds(bench: NotifierBench) -> None:
    before = seconds_now()
    answer = await bench.http.get(PATH)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"there is no job {JOB}"
    assert LOOKS * LOOK_SECONDS == 3
    assert 3 <= seconds_now() - before < 4
    assert len(bench.hub) == 0, "the connection is forgotten"


async def test_a_request_accepted_over_http_is_followed_however_late_its_job_starts(
    bench: NotifierBench,
) -> None:
    bench.submissions.kept[JOB] = "acme"
    task = asyncio.create_task(bench.http.get(PATH))
    await asyncio.sleep(60)
    assert not task.done()
    bench.say(*STORY)
    answer = await task
    assert answer.status_code == 200
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


async def test_another_tenants_accepted_request_is_404(bench: NotifierBench) -> None:
    bench.submissions.kept[JOB] = "globex"
    assert (await bench.http.get(PATH)).status_code == 404


async def test_a_job_that_comes_over_kafka_meanwhile_is_followed_from_its_document(
    bench: NotifierBench,
) -> None:
    task = asyncio.create_task(bench.http.get(PATH))
    await asyncio.sleep(1)
    bench.jobs.put(job_of(STORY))
    answer = await task
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


async def test_a_job_that_comes_over_kafka_meanwhile_is_followed_from_its_events(
    bench: NotifierBench,
) -> None:
    task = asyncio.create_task(bench.http.get(PATH))
    await asyncio.sleep(1)
    bench.say(*STORY)
    answer = await task
    assert [frame.id for frame in frames_of(answer.text)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("path", [PATH, "/v1/users/me/events"])
async def test_proxies_are_told_neither_to_compress_nor_to_buffer_a_stream(
    bench: NotifierBench, path: str
) -> None:
    bench.jobs.put(job_of(STORY))
    task = asyncio.create_task(bench.http.get(path))
    await asyncio.sleep(1)
    bench.hub.close()
    headers = (await task).headers
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
