"""Events of all a user's jobs over SSE: snapshots first, then events; reconnects lose none."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from contracts.jobs import JobEvent
from services.notifier.user_stream import Cursor
from shared.ids import uuid7
from tests.fakes.jobs import START, a_job, a_story, an_event, job_of
from tests.fakes.notifier import Frame, NotifierHarness, frames_of

ONE, TWO = uuid7(), uuid7()


@pytest.fixture
def harness() -> NotifierHarness:
    return NotifierHarness()


class Listener:
    """A browser that follows its user's jobs."""

    def __init__(self, harness: NotifierHarness, cursor: str | None = None, **request: Any) -> None:
        params = {"last_event_id": cursor} if cursor else {}
        self._bench = harness
        self._task = asyncio.create_task(harness.http.get("/v1/users/me/events", params=params, **request))

    async def hears(self, *events: JobEvent) -> None:
        while not len(self._bench.broadcaster):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        self._bench.say(*events)
        await asyncio.sleep(0.01)

    async def leaves(self) -> list[Frame]:
        await self.hears()
        self._bench.broadcaster.close()
        return frames_of((await self._task).text)


def sent_events(frames: list[Frame]) -> list[tuple[str, int]]:
    return [(frame.data["job_id"], frame.data["seq"]) for frame in frames if frame.kind != "progressed"]


async def test_a_new_stream_starts_with_snapshots_of_open_jobs(harness: NotifierHarness) -> None:
    running = harness.jobs.put(a_job(seq=2))
    harness.jobs.put(a_job(status="completed"))
    harness.jobs.put(a_job(user_id="bob"))
    harness.jobs.put(a_job(tenant="other"))
    [frame] = await Listener(harness).leaves()
    assert (frame.kind, frame.data["job_id"], frame.data["seq"]) == ("snapshot", running.job_id, 2)
    assert frame.data["progress"][0]["state"] == "waiting"


async def test_live_events_of_all_jobs_of_the_user_follow(harness: NotifierHarness) -> None:
    listener = Listener(harness)
    one, two = a_story("accepted", "started", job_id=ONE), a_story("accepted", job_id=TWO)
    bobs = an_event("accepted", 1, job_id=uuid7(), user_id="bob")
    await listener.hears(one[0], two[0], bobs, one[1], an_event("progressed", 2, job_id=ONE))
    frames = await listener.leaves()
    assert sent_events(frames) == [(ONE, 1), (TWO, 1), (ONE, 2)]
    assert (frames[-1].kind, frames[-1].id) == ("progressed", None)


async def test_a_reconnect_receives_exactly_the_missed_events_of_every_job(harness: NotifierHarness) -> None:
    one = a_story("accepted", "started", "image_ready", "completed", job_id=ONE)
    two = a_story("accepted", "started", job_id=TWO)
    first = Listener(harness)
    await first.hears(one[0], one[1], two[0])
    cursor = (await first.leaves())[-1].id
    harness.jobs.put(job_of(one))
    harness.jobs.put(job_of(two))
    assert sorted(sent_events(await Listener(harness, cursor).leaves())) == sorted(
        [(ONE, 3), (ONE, 4), (TWO, 2)]
    )


async def test_an_event_out_of_order_is_not_lost_in_a_reconnect(harness: NotifierHarness) -> None:
    early = an_event("accepted", 1, job_id=TWO, at=START)
    late = an_event("accepted", 1, job_id=ONE, at=START + timedelta(seconds=5))
    first = Listener(harness)
    await first.hears(late)
    cursor = (await first.leaves())[-1].id
    harness.jobs.put(job_of((late,)))
    harness.jobs.put(job_of((early,)))
    assert sent_events(await Listener(harness, cursor).leaves()) == [(TWO, 1)]


async def test_a_gap_in_one_job_is_filled_from_its_document(harness: NotifierHarness) -> None:
    story = a_story("accepted", "started", "image_ready", "completed", job_id=ONE)
    listener = Listener(harness)
    await listener.hears(story[0])
    harness.jobs.put(job_of(story))
    await listener.hears(story[3], story[3], story[1])
    assert sent_events(await listener.leaves()) == [(ONE, 1), (ONE, 2), (ONE, 3), (ONE, 4)]


async def test_events_missed_during_an_interruption_are_read_from_the_documents(
    harness: NotifierHarness,
) -> None:
    story = a_story("accepted", "started", "image_ready", job_id=ONE)
    harness.time = START + timedelta(seconds=1)
    listener = Listener(harness)
    await listener.hears(story[0])
    harness.jobs.put(job_of(story))
    harness.broadcaster.all_fall_behind()
    assert sent_events(await listener.leaves()) == [(ONE, 1), (ONE, 2), (ONE, 3)]


@pytest.mark.parametrize("cursor", ["x", "é", "bm9uZQ", "W10", "=", "a" * 3000])
async def test_an_unreadable_cursor_brings_snapshots(harness: NotifierHarness, cursor: str) -> None:
    harness.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    assert [frame.kind for frame in await Listener(harness, cursor).leaves()] == ["snapshot"]


@pytest.mark.parametrize("minutes", [-61, 5])
async def test_a_cursor_that_is_too_old_or_from_the_future_brings_snapshots(
    harness: NotifierHarness, minutes: int
) -> None:
    harness.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    cursor = Cursor(at=harness.time + timedelta(minutes=minutes), seqs={ONE: 1}).text()
    assert [frame.kind for frame in await Listener(harness, cursor).leaves()] == ["snapshot"]


async def test_only_the_last_snapshot_has_a_cursor(harness: NotifierHarness) -> None:
    harness.jobs.put(a_job())
    harness.jobs.put(a_job())
    first, second = await Listener(harness).leaves()
    assert first.id is None
    assert second.id is not None


async def test_a_cursor_of_another_user_shows_none_of_their_jobs(harness: NotifierHarness) -> None:
    harness.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    cursor = Cursor(at=START, seqs={ONE: 1}).text()
    assert await Listener(harness, cursor, headers={"X-User-Id": "bob"}).leaves() == []
