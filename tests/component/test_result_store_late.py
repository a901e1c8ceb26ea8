"""Outputs that are late: fetched in the background, given up, swept, and said once."""

import asyncio
from datetime import timedelta

import pytest

from contracts.renders import RenderFailed, RenderProgressed, RenderSucceeded, ResultStored
from services.result_store.fetching import OutputLate
from services.result_store.late import AT_ONCE, PAUSES_SECONDS
from shared.clock import now
from tests.fakes.results import PATH, ResultsBench, a_result
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import a_picture, comfyui_png

OTHER = "/outputs/other.png"


@pytest.fixture
def bench() -> ResultsBench:
    made = ResultsBench()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


async def test_an_output_that_takes_too_long_is_fetched_in_the_background_and_said_once() -> None:
    bench, result = ResultsBench(fetch_seconds=0.02), a_result()
    bench.fetch.outputs[PATH] = comfyui_png()
    bench.fetch.slow[PATH] = asyncio.Event()
    [said] = await bench.store(result)
    assert isinstance(said, RenderProgressed)
    bench.fetch.slow[PATH].set()
    bench.wake(result)
    await bench.run_late(lambda: bench.publisher.sent)
    [stored] = bench.publisher.said(ResultStored)
    assert (stored.attempt_id, stored.duplicate) == (result.attempt_id, False)


async def test_a_batch_has_one_time_limit_and_what_has_not_begun_by_then_is_fetched_later() -> None:
    bench = ResultsBench(fetch_seconds=0.05)
    results = [a_result(path=f"/slow/{place}") for place in range(12)]
    for place in range(12):
        bench.fetch.outputs[f"/slow/{place}"] = comfyui_png()
        bench.fetch.slow[f"/slow/{place}"] = asyncio.Event()
    async with asyncio.timeout(0.14):  # 12 of them, 4 at once, one after the other: 0.15 and more
        said = await bench.store(*results)
    assert [type(message) for message in said] == [RenderProgressed] * 12
    assert len(bench.fetch.fetched) == 4, "the others had not begun"
    assert {bench.document(result)["state"] for result in results} == {"pending"}


async def waited_for(bench: ResultsBench, number: int) -> list[RenderSucceeded]:
    """So many results whose outputs are late, each under a path of its own, and whose time has come."""
    results = [a_result(path=f"/late/{place}") for place in range(number)]
    bench.fetch.outputs |= {f"/late/{place}": OutputLate("503") for place in range(number)}
    await bench.store(*results)
    bench.fetch.fetched.clear()
    for place, result in enumerate(results):
        bench.fetch.outputs[f"/late/{place}"] = comfyui_png()
        bench.wake(result)
    return results


async def test_late_outputs_are_fetched_a_few_at_a_time(bench: ResultsBench) -> None:
    await waited_for(bench, 10)
    bench.fetch.slow |= {f"/late/{place}": asyncio.Event() for place in range(10)}
    async with background(bench.late.run):
        await until(lambda: bench.fetch.fetched)
        await asyncio.sleep(0.05)
        assert len(bench.fetch.fetched) == AT_ONCE
        for event in bench.fetch.slow.values():
            event.set()
        await until(lambda: len(bench.publisher.said(ResultStored)) == 10)


async def test_one_late_outputs_unforeseen_trouble_is_its_own(bench: ResultsBench) -> None:
    results = await waited_for(bench, 6)
    bench.fetch.outputs["/late/0"] = KeyError("a bug")
    async with background(bench.late.run) as loop:
        await until(lambda: len(bench.publisher.said(ResultStored)) == 5)
        assert not loop.done()
    assert (await bench.asset(results[0])).state == "pending"
    assert bench.document(results[0])["wake_at"] > now(), "it is claimed again when the claim has lapsed"


async def test_an_output_that_is_not_there_yet_is_fetched_in_the_background_and_said_once(
    bench: ResultsBench,
) -> None:
    result = a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    for _ in range(2):
        [said] = await bench.store(result)
        assert isinstance(said, RenderProgressed)
        assert (said.state, said.percent) == ("storing", 100)
    assert bench.fetch.fetched == [PATH], "a redelivery does not fetch what is waited for already"
    bench.fetch.outputs[PATH] = comfyui_png()
    bench.wake(result)
    await bench.run_late(lambda: bench.publisher.sent and "outbox" not in bench.document(result))
    [stored] = bench.publisher.said(ResultStored)
    assert (await bench.asset(result)).state == "stored"
    assert await bench.store(result) == [stored], "also when it is delivered once more"


async def test_an_output_that_never_comes_is_given_up_and_said_once(bench: ResultsBench) -> None:
    result = a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    for tries in range(len(PAUSES_SECONDS)):
        bench.wake(result)
        await bench.run_late(lambda: bench.document(result)["tries"] == tries + 1)  # noqa: B023
        left = bench.document(result)["wake_at"] - now()
        assert 0 < left.total_seconds() <= PAUSES_SECONDS[tries]
        assert bench.publisher.sent == []
    bench.wake(result)
    await bench.run_late(lambda: bench.publisher.sent)
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.attempt_id) == ("output_unavailable", result.attempt_id)
    assert (await bench.asset(result)).state == "failed"
    assert bench.document(result)["wake_at"] is None


async def test_a_late_output_that_is_no_image_is_given_up_at_once(bench: ResultsBench) -> None:
    result = a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    bench.fetch.outputs[PATH] = b"<html>"
    bench.wake(result)
    await bench.run_late(lambda: bench.publisher.sent)
    [failure] = bench.publisher.said(RenderFailed)
    assert failure.code == "not_an_image"


async def test_a_crash_between_storing_and_saying_leaves_the_message_to_the_outbox(
    bench: ResultsBench,
) -> None:
    result = a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    bench.fetch.outputs[PATH] = comfyui_png()
    bench.publisher.away = True
    bench.wake(result)
    await bench.run_late(lambda: bench.document(result).get("outbox"))
    bench.publisher.away = False
    assert await bench.outbox.sweep(timedelta(seconds=-1)) == 1
    assert [said.attempt_id for said in bench.publisher.said(ResultStored)] == [result.attempt_id]
    assert "outbox" not in bench.document(result)


async def test_an_asset_is_claimed_by_one_process_at_a_time(bench: ResultsBench) -> None:
    result = a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    assert await bench.assets.claim_due("image", 4) == [], "its time has not come"
    bench.wake(result)
    claims = await asyncio.gather(*(bench.assets.claim_due("image", 4) for _ in range(3)))
    assert sorted(len(claimed) for claimed in claims) == [0, 0, 1]
    assert await bench.assets.claim_due("image", 4) == []
