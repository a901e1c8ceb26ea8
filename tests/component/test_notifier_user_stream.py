"""All events of a user's jobs over SSE: snapshots first, then what happens; reconnects lose nothing."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from contracts.jobs import JobEvent
from services.notifier.user_stream import Cursor
from shared.ids import uuid7
from tests.fakes.jobs import START, a_job, a_story, an_event, job_of
from tests.fakes.notifier import Frame, NotifierBench, frames_of

ONE, TWO = uuid7(), uuid7()


@pytest.fixture
def bench() -> NotifierBench:
    return NotifierBench()


class Listener:
    """A browser that follows its user's jobs."""

    def __init__(self, bench: NotifierBench, cursor: str | None = None, **request: Any) -> None:
        params = {"last_event_id": cursor} if cursor else {}
        self._bench = bench
        self._task = asyncio.create_task(bench.http.get("/v1/users/me/events", params=params, **request))

    async def hears(self, *events: JobEvent) -> None:
        while not len(self._bench.hub):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        self._bench.say(*events)
        await asyncio.sleep(0.01)

    async def leaves(self) -> list[Frame]:
        await self.hears()
        self._bench.hub.close()
        return frames_of((await self._task).text)


def told(frames: list[Frame]) -> list[tuple[str, int]]:
    return [(frame.data["job_id"], frame.data["seq"]) for frame in frames if frame.kind != "progressed"]


async def test_a_newcomer_gets_snapshots_of_what_has_not_ended(bench: NotifierBench) -> None:
    running = bench.jobs.put(a_job(seq=2))
    bench.jobs.put(a_job(status="completed"))
    bench.jobs.put(a_job(user_id="bob"))
    bench.jobs.put(a_job(tenant="other"))
    [frame] = await Listener(bench).leaves()
    assert (frame.kind, frame.data["job_id"], frame.data["seq"]) == ("snapshot", running.job_id, 2)
    assert frame.data["progress"][0]["state"] == "waiting"


async def test_live_events_of_all_jobs_of_the_user_follow(bench: NotifierBench) -> None:
    listener = Listener(bench)
    one, two = a_story("accepted", "started", job_id=ONE), a_story("accepted", job_id=TWO)
    bobs = an_event("accepted", 1, job_id=uuid7(), user_id="bob")
    await listener.hears(one[0], two[0], bobs, one[1], an_event("progressed", 2, job_id=ONE))
    frames = await listener.leaves()
    assert told(frames) == [(ONE, 1), (TWO, 1), (ONE, 2)]
    assert (frames[-1].kind, frames[-1].id) == ("progressed", None)


async def test_a_reconnect_gets_exactly_what_it_missed_of_every_job(bench: NotifierBench) -> None:
    one = a_story("accepted", "started", "image_ready", "completed", job_id=ONE)
    two = a_story("accepted", "started", job_id=TWO)
    first = Listener(bench)
    await first.hears(one[0], one[1], two[0])
    cursor = (await first.leaves())[-1].id
    bench.jobs.put(job_of(one))
    bench.jobs.put(job_of(two))
    assert sorted(told(await Listener(bench, cursor).leaves())) == sorted([(ONE, 3), (ONE, 4), (TWO, 2)])


async def test_an_event_that_came_out_of_order_is_not_lost_over_a_reconnect(bench: NotifierBench) -> None:
    early = an_event("accepted", 1, job_id=TWO, at=START)
    late = an_event("accepted", 1, job_id=ONE, at=START + timedelta(seconds=5))
    first = Listener(bench)
    await first.hears(late)
    cursor = (await first.leaves())[-1].id
    bench.jobs.put(job_of((late,)))
    bench.jobs.put(job_of((early,)))
    assert told(await Listener(bench, cursor).leaves()) == [(TWO, 1)]


async def test_a_gap_in_one_job_is_filled_from_its_document(bench: NotifierBench) -> None:
    story = a_story("accepted", "started", "image_ready", "completed", job_id=ONE)
    listener = Listener(bench)
    await listener.hears(story[0])
    bench.jobs.put(job_of(story))
    await listener.hears(story[3], story[3], story[1])
    assert told(await listener.leaves()) == [(ONE, 1), (ONE, 2), (ONE, 3), (ONE, 4)]


async def test_after_an_interruption_the_documents_tell_the_rest(bench: NotifierBench) -> None:
    story = a_story("accepted", "started", "image_ready", job_id=ONE)
    bench.time = START + timedelta(seconds=1)
    listener = Listener(bench)
    await listener.hears(story[0])
    bench.jobs.put(job_of(story))
    bench.hub.all_behind()
    assert told(await listener.leaves()) == [(ONE, 1), (ONE, 2), (ONE, 3)]


@pytest.mark.parametrize("cursor", ["x", "é", "bm9uZQ", "W10", "=", "a" * 3000])
async def test_an_unreadable_cursor_brings_snapshots(bench: NotifierBench, cursor: str) -> None:
    bench.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    assert [frame.kind for frame in await Listener(bench, cursor).leaves()] == ["snapshot"]


@pytest.mark.parametrize("minutes", [-61, 5])
async def test_a_cursor_that_is_too_old_or_from_the_future_brings_snapshots(
    bench: NotifierBench, minutes: int
) -> None:
    bench.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    cursor = Cursor(at=bench.time + timedelta(minutes=minutes), seqs={ONE: 1}).text()
    assert [frame.kind for frame in await Listener(bench, cursor).leaves()] == ["snapshot"]


async def test_only_the_last_snapshot_is_a_place_to_go_on_from(bench: NotifierBench) -> None:
    bench.jobs.put(a_job())
    bench.jobs.put(a_job())
    first, second = await Listener(bench).leaves()
    assert first.id is None
    assert second.id is not None


async def test_a_cursor_of_another_user_tells_nothing_of_theirs(bench: NotifierBench) -> None:
    bench.jobs.put(job_of(a_story("accepted", "started", job_id=ONE)))
    cursor = Cursor(at=START, seqs={ONE: 1}).text()
    assert await Listener(bench, cursor, headers={"X-User-Id": "bob"}).leaves() == []
