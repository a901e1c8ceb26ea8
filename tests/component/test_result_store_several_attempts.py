"""Several attempts of one render: one is stored, and each is announced once."""

import asyncio
from datetime import timedelta

import pytest

from contracts.renders import RenderFailed, RenderProgressed, ResultStored
from services.result_store.fetching import OutputLate, OutputUnavailable
from tests.fakes.results import PATH, ResultsBench, a_result, image_of, objects_of
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import a_picture, comfyui_png

OTHER = "/outputs/other.png"


@pytest.fixture
def bench() -> ResultsBench:
    made = ResultsBench()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


async def test_a_late_loser_is_swept_and_the_winner_keeps_its_picture() -> None:
    bench, waiting = ResultsBench(), a_result(1)
    winner = a_result(2, OTHER, job_id=waiting.job_id)
    bench.fetch.outputs = {PATH: OutputLate("503"), OTHER: comfyui_png(a_picture(width=96, height=64))}
    await bench.store(waiting)
    bench.fetch.outputs[PATH] = comfyui_png()
    bench.fetch.slow[PATH] = asyncio.Event()
    bench.wake(waiting)
    async with background(bench.late.run):
        await until(lambda: len(bench.fetch.fetched) == 2)
        [said] = await bench.store(winner)
        bench.fetch.slow[PATH].set()
        await until(lambda: len(bench.bucket.deleted) == 2 and bench.publisher.said(ResultStored))
    assert isinstance(said, ResultStored)
    assert set(bench.bucket.objects) == objects_of(said)
    assert bench.document(winner)["preview"]["key"] == f"{image_of(said).key}.preview.webp"
    told = {each.attempt_id: each.duplicate for each in bench.publisher.said(ResultStored)}
    assert told == {waiting.attempt_id: True}


async def test_a_late_losers_object_that_a_crash_left_is_removed_at_the_next_look(
    bench: ResultsBench,
) -> None:
    waiting = a_result(1)
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(waiting)
    [said] = await bench.store(a_result(2, OTHER, job_id=waiting.job_id))
    kept = image_of(said).key
    bench.bucket.objects[f"{kept.rpartition('/')[0]}/left-by-a-crash"] = b""
    bench.wake_all()
    await bench.run_late(lambda: bench.publisher.said(ResultStored))
    assert set(bench.bucket.objects) == {kept, f"{kept}.preview.webp"}


@pytest.mark.parametrize("end", [OutputUnavailable("404"), OutputLate("503")])
async def test_one_attempts_trouble_does_not_forget_the_other_that_is_waited_for(end: Exception) -> None:
    bench, first = ResultsBench(), a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    bench.fetch.outputs = {PATH: OutputLate("503"), OTHER: OutputLate("503")}
    await bench.store(first)
    bench.fetch.outputs[PATH] = end
    bench.fetch.slow[PATH] = asyncio.Event()
    bench.wake(first)
    async with background(bench.late.run):
        await until(lambda: len(bench.fetch.fetched) == 2)
        await bench.store(second)
        bench.fetch.slow[PATH].set()
        await asyncio.sleep(0.02)
    document = bench.documents.kept[second.attempt_id]
    assert (document["state"], document["attempt_id"], document["tries"]) == ("pending", second.attempt_id, 0)


@pytest.mark.parametrize("together", [True, False])
async def test_of_two_late_attempts_each_is_announced(bench: ResultsBench, together: bool) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    pictures = dict(bench.fetch.outputs)
    bench.fetch.outputs = {PATH: OutputLate("503"), OTHER: OutputLate("503")}
    for batch in [(first, second)] if together else [(first,), (second,)]:
        assert {type(said) for said in await bench.store(*batch)} == {RenderProgressed}
    assert {type(said) for said in await bench.store(second, first)} == {RenderProgressed}, "once more"
    bench.fetch.outputs |= pictures
    bench.wake_all()
    await bench.run_late(lambda: len({said.attempt_id for said in bench.publisher.said(ResultStored)}) == 2)
    told = {said.attempt_id: said.duplicate for said in bench.publisher.said(ResultStored)}
    assert (set(told), sorted(told.values())) == ({first.attempt_id, second.attempt_id}, [False, True])
    assert len(bench.bucket.objects) == 2, "one image and its preview"


async def test_the_second_late_attempt_is_stored_where_the_first_was_given_up(bench: ResultsBench) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    picture = bench.fetch.outputs[OTHER]
    bench.fetch.outputs = {PATH: OutputLate("503"), OTHER: OutputLate("503")}
    await bench.store(first, second)
    bench.fetch.outputs = {PATH: OutputUnavailable("404"), OTHER: picture}
    bench.wake_all()
    await bench.run_late(lambda: bench.publisher.said(ResultStored) and bench.publisher.said(RenderFailed))
    assert [said.attempt_id for said in bench.publisher.said(RenderFailed)] == [first.attempt_id]
    assert {said.attempt_id for said in bench.publisher.said(ResultStored)} == {second.attempt_id}
    assert (await bench.asset(second)).state == "stored"


async def test_a_failure_is_published_although_another_attempt_is_stored_before_its_publication(
    bench: ResultsBench,
) -> None:
    bench.outbox.delay_seconds = 0.05
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    picture = bench.fetch.outputs[OTHER]
    bench.fetch.outputs = {PATH: OutputLate("503"), OTHER: OutputLate("503")}
    await bench.store(first, second)
    bench.fetch.outputs = {PATH: OutputUnavailable("404"), OTHER: picture}
    bench.wake_all()
    await bench.run_late(lambda: bench.publisher.said(RenderFailed) and bench.publisher.said(ResultStored))
    assert {said.attempt_id for said in bench.publisher.said(RenderFailed)} == {first.attempt_id}
    assert {said.attempt_id for said in bench.publisher.said(ResultStored)} == {second.attempt_id}
    assert "outbox" not in bench.document(second)


async def test_a_failure_stays_in_the_outbox_while_the_broker_is_away_and_another_is_stored(
    bench: ResultsBench,
) -> None:
    bench.publisher.away = True
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(first)
    bench.fetch.outputs[PATH] = OutputUnavailable("404")
    bench.wake(first)
    await bench.run_late(lambda: bench.document(first).get("outbox"))
    bench.fetch.outputs[OTHER] = OutputLate("503")
    await bench.store(second)
    bench.fetch.outputs[OTHER] = comfyui_png()
    bench.wake(second)
    await bench.run_late(lambda: bench.document(second)["state"] == "stored")
    bench.publisher.away = False
    await bench.outbox.sweep(timedelta(seconds=-1))
    assert [said.attempt_id for said in bench.publisher.said(RenderFailed)] == [first.attempt_id]
    assert [said.attempt_id for said in bench.publisher.said(ResultStored)] == [second.attempt_id]
    assert "outbox" not in bench.document(second)


async def test_who_is_waited_for_is_announced_although_another_is_there_at_once(bench: ResultsBench) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(first)
    [said] = await bench.store(second)
    assert isinstance(said, ResultStored)
    bench.wake_all()
    await bench.run_late(lambda: bench.publisher.sent)
    [duplicate] = bench.publisher.said(ResultStored)
    assert (duplicate.attempt_id, duplicate.duplicate) == (first.attempt_id, True)
    assert duplicate.image == said.image
