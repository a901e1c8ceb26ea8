"""Events of one job over SSE: in order, each once, also after interruptions."""

import asyncio
from typing import Any

import httpx
import pytest

from contracts.jobs import ImageEvent
from tests.fakes.jobs import a_job, a_stored_lora, a_story, an_event, job_of
from tests.fakes.notifier import NotifierHarness, frames_of

STORY = a_story("accepted", "started", "image_ready", "completed")
JOB = STORY[0].job_id
PATH = f"/v1/jobs/{JOB}/events"


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


async def listening(harness: NotifierHarness, **request: Any) -> "asyncio.Task[httpx.Response]":
    task = asyncio.create_task(harness.http.get(request.pop("path", PATH), **request))
    while not len(harness.broadcaster) and not task.done():
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    return task


def ids_of(answer: httpx.Response) -> list[str | None]:
    return [frame.id for frame in frames_of(answer.text)]


async def test_a_late_subscriber_receives_all_earlier_events(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY))
    answer = await harness.http.get(PATH)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(frame.kind, frame.id) for frame in frames_of(answer.text)] == [
        ("accepted", "1"),
        ("started", "2"),
        ("image_ready", "3"),
        ("completed", "4"),
    ]


@pytest.mark.parametrize("how", [{"headers": {"Last-Event-ID": "2"}}, {"params": {"last_event_id": "2"}}])
async def test_a_reconnect_resumes_after_its_last_event(
    harness: NotifierHarness, how: dict[str, Any]
) -> None:
    harness.jobs.put(job_of(STORY))
    assert ids_of(await harness.http.get(PATH, **how)) == ["3", "4"]


@pytest.mark.parametrize("last", ["x", "-1", "99", "²", "1" * 50])
async def test_an_invalid_last_event_id_starts_from_the_first_event(
    harness: NotifierHarness, last: str
) -> None:
    harness.jobs.put(job_of(STORY))
    assert ids_of(await harness.http.get(PATH, params={"last_event_id": last})) == ["1", "2", "3", "4"]


async def test_a_client_that_has_every_event_gets_204(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY))
    answer = await harness.http.get(PATH, headers={"Last-Event-ID": "4"})
    assert answer.status_code == 204
    assert len(harness.broadcaster) == 0


async def test_live_events_follow_and_the_stream_ends_with_the_job(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY[:1]))
    task = await listening(harness)
    harness.say(*STORY[1:])
    assert ids_of(await task) == ["1", "2", "3", "4"]
    assert len(harness.broadcaster) == 0, "the connection is forgotten"


async def test_a_stream_waits_for_an_unknown_job(harness: NotifierHarness) -> None:
    task = await listening(harness)
    harness.say(*STORY)
    assert ids_of(await task) == ["1", "2", "3", "4"]


async def test_duplicates_are_dropped(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY[:2]))
    task = await listening(harness)
    harness.say(STORY[0], STORY[1], STORY[2], STORY[1], STORY[2], STORY[3], STORY[3])
    assert ids_of(await task) == ["1", "2", "3", "4"]


async def test_a_gap_is_filled_from_the_document(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY[:1]))
    task = await listening(harness)
    harness.jobs.put(job_of(STORY))
    harness.say(STORY[3])
    assert ids_of(await asyncio.wait_for(task, 5)) == ["1", "2", "3", "4"]


async def test_events_missed_during_an_interruption_are_read_from_the_document(
    harness: NotifierHarness,
) -> None:
    harness.jobs.put(job_of(STORY[:1]))
    task = await listening(harness)
    harness.jobs.put(job_of(STORY))
    harness.broadcaster.all_fall_behind()
    assert ids_of(await task) == ["1", "2", "3", "4"]


async def test_a_document_that_lags_is_read_again(harness: NotifierHarness) -> None:
    harness = NotifierHarness(heartbeat_seconds=0.02)
    harness.jobs.put(job_of(STORY[:1]))
    task = await listening(harness)
    harness.say(STORY[3])
    await asyncio.sleep(0.05)
    harness.jobs.put(job_of(STORY))
    assert ids_of(await task) == ["1", "2", "3", "4"]


async def test_a_slow_reader_receives_every_numbered_event(harness: NotifierHarness) -> None:
    many = a_story("accepted", "started", *["image_ready"] * 600, "completed")
    harness.jobs.put(job_of(many[:1]))
    task = await listening(harness)
    harness.jobs.put(job_of(many))
    for event in many[1:]:
        harness.say(an_event("progressed", event.seq - 1), event)
    assert ids_of(await task) == [str(n) for n in range(1, len(many) + 1)]


async def test_progress_is_live_only_and_has_no_id(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY[:2]))
    task = await listening(harness)
    harness.say(an_event("progressed", 1), an_event("progressed", 2))
    await asyncio.sleep(0.01)
    harness.say(*STORY[2:])
    frames = frames_of((await task).text)
    assert [(frame.kind, frame.id) for frame in frames][2:4] == [("progressed", None), ("image_ready", "3")]


async def test_an_image_comes_with_a_link(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY))
    frame = frames_of((await harness.http.get(PATH)).text)[2]
    assert frame.data["links"]["url"] == f"https://bucket.example/acme/{JOB}/0/aa"
    assert frame.data["image"]["stored"]["width"] == 64


async def test_a_lora_comes_with_a_link(harness: NotifierHarness) -> None:
    lora = a_stored_lora(JOB)
    ready = an_event("image_ready", 3, image=ImageEvent(index=0, label="lora", lora=lora))
    harness.jobs.put(job_of((*STORY[:2], ready, STORY[3])))
    frame = frames_of((await harness.http.get(PATH)).text)[2]
    assert frame.data["links"]["url"] == f"https://bucket.example/{lora.key}"
    assert frame.data["image"]["lora"]["trigger_word"] == "mia7"


async def test_another_tenants_job_is_404(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY))
    answer = await harness.http.get(PATH, headers={"X-Tenant-Id": "other"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(harness.broadcaster) == 0


async def test_another_tenants_job_is_404_also_when_it_starts_later(harness: NotifierHarness) -> None:
    task = await listening(harness, headers={"X-Tenant-Id": "other"})
    harness.say(*STORY)
    assert (await task).status_code == 404


async def test_a_stream_of_a_job_cancelled_before_its_plan_stays_open(harness: NotifierHarness) -> None:
    harness.jobs.put(a_job(job_id=JOB, status="failed", request_hash="", placeholder=True, renders=()))
    task = await listening(harness)
    harness.say(*a_story("accepted", "failed"))
    assert ids_of(await task) == ["1", "2"]


async def test_a_stream_without_events_sends_heartbeats() -> None:
    harness = NotifierHarness(heartbeat_seconds=0.01)
    harness.jobs.put(job_of(STORY[:1]))
    task = await listening(harness)
    await asyncio.sleep(0.05)
    harness.say(*STORY[1:])
    assert ": still here\n\n" in (await task).text


async def test_streams_end_when_the_process_stops(harness: NotifierHarness) -> None:
    task = await listening(harness)
    harness.broadcaster.close()
    assert (await task).status_code == 200


async def test_browsers_identify_themselves_in_the_query(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(STORY))
    harness.http.headers = httpx.Headers()
    assert ids_of(await harness.http.get(PATH, params={"tenant": "acme", "user": "ann"})) == [
        "1",
        "2",
        "3",
        "4",
    ]
    answer = await harness.http.get(PATH, params={"tenant": "acme"})
    assert (answer.status_code, "X-User-Id" in answer.json()["detail"]) == (401, True)
    assert (await harness.http.get(PATH, params={"tenant": "a b", "user": "ann"})).status_code == 401


async def test_a_bad_id_is_refused(harness: NotifierHarness) -> None:
    answer = await harness.http.get("/v1/jobs/none/events")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "job_id")
