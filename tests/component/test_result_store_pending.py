"""Pending outputs: fetched in the background or given up, and published once."""

import asyncio
from datetime import timedelta

import pytest

from contracts.renders import RenderFailed, RenderProgressed, RenderSucceeded, ResultStored
from services.result_store.fetching import OutputNotReady
from services.result_store.pending_outputs import AT_ONCE, PAUSES_SECONDS
from shared.clock import now
from tests.fakes.results import PATH, ResultStoreHarness, a_result
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import a_picture, comfyui_png

OTHER = "/outputs/other.png"


@pytest.fixture
def harness() -> ResultStoreHarness:
    made = ResultStoreHarness()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


async def test_a_slow_output_is_fetched_in_the_background_and_published_once() -> None:
    harness, result = ResultStoreHarness(fetch_seconds=0.02), a_result()
    harness.fetch.outputs[PATH] = comfyui_png()
    harness.fetch.slow[PATH] = asyncio.Event()
    [published] = await harness.store(result)
    assert isinstance(published, RenderProgressed)
    harness.fetch.slow[PATH].set()
    harness.wake(result)
    await harness.run_late(lambda: harness.publisher.sent)
    [stored] = harness.publisher.published(ResultStored)
    assert (stored.attempt_id, stored.duplicate) == (result.attempt_id, False)


async def test_a_batch_has_one_time_limit_and_the_rest_is_fetched_later() -> None:
    harness = ResultStoreHarness(fetch_seconds=0.05)
    results = [a_result(path=f"/slow/{place}") for place in range(12)]
    for place in range(12):
        harness.fetch.outputs[f"/slow/{place}"] = comfyui_png()
        harness.fetch.slow[f"/slow/{place}"] = asyncio.Event()
    async with asyncio.timeout(0.14):  # 12 of them, 4 at once, one after the other: 0.15 and more
        published = await harness.store(*results)
    assert [type(message) for message in published] == [RenderProgressed] * 12
    assert len(harness.fetch.fetched) == 4, "the others had not begun"
    assert {harness.document(result)["state"] for result in results} == {"pending"}


async def waited_for(harness: ResultStoreHarness, number: int) -> list[RenderSucceeded]:
    """Make a number of results pending and due, each under its own path."""
    results = [a_result(path=f"/late/{place}") for place in range(number)]
    harness.fetch.outputs |= {f"/late/{place}": OutputNotReady("503") for place in range(number)}
    await harness.store(*results)
    harness.fetch.fetched.clear()
    for place, result in enumerate(results):
        harness.fetch.outputs[f"/late/{place}"] = comfyui_png()
        harness.wake(result)
    return results


async def test_pending_outputs_are_fetched_a_few_at_a_time(harness: ResultStoreHarness) -> None:
    await waited_for(harness, 10)
    harness.fetch.slow |= {f"/late/{place}": asyncio.Event() for place in range(10)}
    async with background(harness.late.run):
        await until(lambda: harness.fetch.fetched)
        await asyncio.sleep(0.05)
        assert len(harness.fetch.fetched) == AT_ONCE
        for event in harness.fetch.slow.values():
            event.set()
        await until(lambda: len(harness.publisher.published(ResultStored)) == 10)


async def test_an_unexpected_error_of_one_pending_output_does_not_affect_the_others(
    harness: ResultStoreHarness,
) -> None:
    results = await waited_for(harness, 6)
    harness.fetch.outputs["/late/0"] = KeyError("a bug")
    async with background(harness.late.run) as loop:
        await until(lambda: len(harness.publisher.published(ResultStored)) == 5)
        assert not loop.done()
    assert (await harness.asset(results[0])).state == "pending"
    assert harness.document(results[0])["wake_at"] > now(), "it is claimed again when the claim has lapsed"


async def test_an_output_that_is_not_ready_is_fetched_in_the_background_and_published_once(
    harness: ResultStoreHarness,
) -> None:
    result = a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    for _ in range(2):
        [published] = await harness.store(result)
        assert isinstance(published, RenderProgressed)
        assert (published.state, published.percent) == ("storing", 100)
    assert harness.fetch.fetched == [PATH], "a redelivery does not fetch what is waited for already"
    harness.fetch.outputs[PATH] = comfyui_png()
    harness.wake(result)
    await harness.run_late(lambda: harness.publisher.sent and "outbox" not in harness.document(result))
    [stored] = harness.publisher.published(ResultStored)
    assert (await harness.asset(result)).state == "stored"
    assert await harness.store(result) == [stored], "also when it is delivered once more"


async def test_an_output_that_is_never_ready_is_given_up_and_its_failure_published_once(
    harness: ResultStoreHarness,
) -> None:
    result = a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    for tries in range(len(PAUSES_SECONDS)):
        harness.wake(result)
        await harness.run_late(lambda: harness.document(result)["tries"] == tries + 1)  # noqa: B023
        left = harness.document(result)["wake_at"] - now()
        assert 0 < left.total_seconds() <= PAUSES_SECONDS[tries]
        assert harness.publisher.sent == []
    harness.wake(result)
    await harness.run_late(lambda: harness.publisher.sent)
    [failure] = harness.publisher.published(RenderFailed)
    assert (failure.code, failure.attempt_id) == ("output_unavailable", result.attempt_id)
    assert (await harness.asset(result)).state == "failed"
    assert harness.document(result)["wake_at"] is None


async def test_a_pending_output_that_is_not_an_image_is_given_up_at_once(harness: ResultStoreHarness) -> None:
    result = a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    harness.fetch.outputs[PATH] = b"<html>"
    harness.wake(result)
    await harness.run_late(lambda: harness.publisher.sent)
    [failure] = harness.publisher.published(RenderFailed)
    assert failure.code == "not_an_image"


async def test_a_crash_between_storing_and_publishing_leaves_the_message_in_the_outbox(
    harness: ResultStoreHarness,
) -> None:
    result = a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    harness.fetch.outputs[PATH] = comfyui_png()
    harness.publisher.away = True
    harness.wake(result)
    await harness.run_late(lambda: harness.document(result).get("outbox"))
    harness.publisher.away = False
    assert await harness.outbox.sweep(timedelta(seconds=-1)) == 1
    assert [each.attempt_id for each in harness.publisher.published(ResultStored)] == [result.attempt_id]
    assert "outbox" not in harness.document(result)


async def test_an_asset_is_claimed_by_one_process_at_a_time(harness: ResultStoreHarness) -> None:
    result = a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    assert await harness.assets.claim_due("image", 4) == [], "its time has not come"
    harness.wake(result)
    claims = await asyncio.gather(*(harness.assets.claim_due("image", 4) for _ in range(3)))
    assert sorted(len(claimed) for claimed in claims) == [0, 0, 1]
    assert await harness.assets.claim_due("image", 4) == []
