"""One job's events over SSE: in order, each once, whatever the connection missed."""

import asyncio
from typing import Any

import httpx
import pytest

from contracts.jobs import ImageEvent
from tests.fakes.jobs import a_job, a_stored_lora, a_story, an_event, job_of
from tests.fakes.notifier import NotifierBench, frames_of

STORY = a_story("accepted", "started", "image_ready", "completed")
JOB = STORY[0].job_id
PATH = f"/v1/jobs/{JOB}/events"


@pytest.fixture
def bench() -> NotifierBench:
    return NotifierBench()


async def listening(bench: NotifierBench, **request: Any) -> "asyncio.Task[httpx.Response]":
    task = asyncio.create_task(bench.http.get(request.pop("path", PATH), **request))
    while not len(bench.hub) and not task.done():
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    return task


def ids(answer: httpx.Response) -> list[str | None]:
    return [frame.id for frame in frames_of(answer.text)]


async def test_all_that_happened_is_told_to_who_comes_late(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY))
    answer = await bench.http.get(PATH)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(frame.kind, frame.id) for frame in frames_of(answer.text)] == [
        ("accepted", "1"),
        ("started", "2"),
        ("image_ready", "3"),
        ("completed", "4"),
    ]


@pytest.mark.parametrize("how", [{"headers": {"Last-Event-ID": "2"}}, {"params": {"last_event_id": "2"}}])
async def test_a_reconnect_goes_on_after_its_last_event(bench: NotifierBench, how: dict[str, Any]) -> None:
    bench.jobs.put(job_of(STORY))
    assert ids(await bench.http.get(PATH, **how)) == ["3", "4"]


@pytest.mark.parametrize("last", ["x", "-1", "99", "²", "1" * 50])
async def test_a_last_id_that_is_not_ours_starts_over(bench: NotifierBench, last: str) -> None:
    bench.jobs.put(job_of(STORY))
    assert ids(await bench.http.get(PATH, params={"last_event_id": last})) == ["1", "2", "3", "4"]


async def test_who_was_told_everything_is_asked_not_to_come_again(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY))
    answer = await bench.http.get(PATH, headers={"Last-Event-ID": "4"})
    assert answer.status_code == 204
    assert len(bench.hub) == 0


async def test_live_events_follow_and_the_stream_ends_with_the_job(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY[:1]))
    task = await listening(bench)
    bench.say(*STORY[1:])
    assert ids(await task) == ["1", "2", "3", "4"]
    assert len(bench.hub) == 0, "the connection is forgotten"


async def test_a_job_that_is_not_known_yet_is_waited_for(bench: NotifierBench) -> None:
    task = await listening(bench)
    bench.say(*STORY)
    assert ids(await task) == ["1", "2", "3", "4"]


async def test_duplicates_are_dropped(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY[:2]))
    task = await listening(bench)
    bench.say(STORY[0], STORY[1], STORY[2], STORY[1], STORY[2], STORY[3], STORY[3])
    assert ids(await task) == ["1", "2", "3", "4"]


async def test_a_gap_is_filled_from_the_document(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY[:1]))
    task = await listening(bench)
    bench.jobs.put(job_of(STORY))
    bench.say(STORY[3])
    assert ids(await asyncio.wait_for(task, 5)) == ["1", "2", "3", "4"]


async def test_after_the_feed_was_interrupted_the_document_tells_the_rest(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY[:1]))
    task = await listening(bench)
    bench.jobs.put(job_of(STORY))
    bench.hub.all_behind()
    assert ids(await task) == ["1", "2", "3", "4"]


async def test_a_document_that_lags_is_read_again(bench: NotifierBench) -> None:
    bench = NotifierBench(heartbeat_seconds=0.02)
    bench.jobs.put(job_of(STORY[:1]))
    task = await listening(bench)
    bench.say(STORY[3])
    await asyncio.sleep(0.05)
    bench.jobs.put(job_of(STORY))
    assert ids(await task) == ["1", "2", "3", "4"]


async def test_a_slow_reader_misses_nothing_numbered(bench: NotifierBench) -> None:
    many = a_story("accepted", "started", *["image_ready"] * 600, "completed")
    bench.jobs.put(job_of(many[:1]))
    task = await listening(bench)
    bench.jobs.put(job_of(many))
    for event in many[1:]:
        bench.say(an_event("progressed", event.seq - 1), event)
    assert ids(await task) == [str(n) for n in range(1, len(many) + 1)]


async def test_progress_is_live_only_and_has_no_id(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY[:2]))
    task = await listening(bench)
    bench.say(an_event("progressed", 1), an_event("progressed", 2))
    await asyncio.sleep(0.01)
    bench.say(*STORY[2:])
    frames = frames_of((await task).text)
    assert [(frame.kind, frame.id) for frame in frames][2:4] == [("progressed", None), ("image_ready", "3")]


async def test_an_image_comes_with_a_link(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY))
    frame = frames_of((await bench.http.get(PATH)).text)[2]
    assert frame.data["links"]["url"] == f"https://bucket.example/acme/{JOB}/0/aa"
    assert frame.data["image"]["stored"]["width"] == 64


async def test_a_lora_comes_with_a_link(bench: NotifierBench) -> None:
    lora = a_stored_lora(JOB)
    ready = an_event("image_ready", 3, image=ImageEvent(index=0, label="lora", lora=lora))
    bench.jobs.put(job_of((*STORY[:2], ready, STORY[3])))
    frame = frames_of((await bench.http.get(PATH)).text)[2]
    assert frame.data["links"]["url"] == f"https://bucket.example/{lora.key}"
    assert frame.data["image"]["lora"]["trigger_word"] == "mia7"


async def test_another_tenants_job_is_not_there(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY))
    answer = await bench.http.get(PATH, headers={"X-Tenant-Id": "other"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(bench.hub) == 0


async def test_another_tenants_job_is_not_told_when_it_starts(bench: NotifierBench) -> None:
    task = await listening(bench, headers={"X-Tenant-Id": "other"})
    bench.say(*STORY)
    assert (await task).status_code == 404


async def test_a_cancelled_job_without_a_plan_is_waited_for(bench: NotifierBench) -> None:
    bench.jobs.put(a_job(job_id=JOB, status="failed", request_hash="", placeholder=True, renders=()))
    task = await listening(bench)
    bench.say(*a_story("accepted", "failed"))
    assert ids(await task) == ["1", "2"]


async def test_a_quiet_stream_is_kept_alive() -> None:
    bench = NotifierBench(heartbeat_seconds=0.01)
    bench.jobs.put(job_of(STORY[:1]))
    task = await listening(bench)
    await asyncio.sleep(0.05)
    bench.say(*STORY[1:])
    assert ": still here\n\n" in (await task).text


async def test_streams_end_when_the_process_does(bench: NotifierBench) -> None:
    task = await listening(bench)
    bench.hub.close()
    assert (await task).status_code == 200


async def test_browsers_name_themselves_in_the_query(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(STORY))
    bench.http.headers = httpx.Headers()
    assert ids(await bench.http.get(PATH, params={"tenant": "acme", "user": "ann"})) == ["1", "2", "3", "4"]
    answer = await bench.http.get(PATH, params={"tenant": "acme"})
    assert (answer.status_code, "X-User-Id" in answer.json()["detail"]) == (401, True)
    assert (await bench.http.get(PATH, params={"tenant": "a b", "user": "ann"})).status_code == 401


async def test_a_bad_id_is_refused(bench: NotifierBench) -> None:
    answer = await bench.http.get("/v1/jobs/none/events")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "job_id")
