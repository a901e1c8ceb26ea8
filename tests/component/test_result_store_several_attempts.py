"""Several attempts of one render: one is stored, and each is announced once."""

import asyncio
from datetime import timedelta

import pytest

from contracts.renders import RenderFailed, RenderProgressed, ResultStored
from services.result_store.assets import Asset
from services.result_store.fetching import OutputNotReady, OutputUnavailable
from services.result_store.image_store import failure
from shared.clock import now
from shared.outbox import MongoOutboxStore
from tests.fakes.results import PATH, ResultStoreHarness, a_result, image_of, objects_of
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import a_picture, comfyui_png

OTHER = "/outputs/other.png"


@pytest.fixture
def harness() -> ResultStoreHarness:
    made = ResultStoreHarness()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


def duplicates(harness: ResultStoreHarness) -> dict[str, bool]:
    """Return the announced attempts, each with whether it is a duplicate."""
    return {each.attempt_id: each.duplicate for each in harness.publisher.published(ResultStored)}


async def test_a_late_losers_objects_are_deleted_and_the_winner_keeps_its_own() -> None:
    harness, waiting = ResultStoreHarness(), a_result(1)
    winner = a_result(2, OTHER, job_id=waiting.job_id)
    harness.fetch.outputs = {PATH: OutputNotReady("503"), OTHER: comfyui_png(a_picture(width=96, height=64))}
    await harness.store(waiting)
    harness.fetch.outputs[PATH] = comfyui_png()
    harness.fetch.slow[PATH] = asyncio.Event()
    harness.wake(waiting)
    async with background(harness.late.run):
        await until(lambda: len(harness.fetch.fetched) == 2)
        [published] = await harness.store(winner)
        harness.fetch.slow[PATH].set()
        await until(lambda: len(harness.bucket.deleted) == 2 and harness.publisher.published(ResultStored))
    assert isinstance(published, ResultStored)
    assert set(harness.bucket.objects) == objects_of(published)
    assert harness.document(winner)["preview"]["key"] == f"{image_of(published).key}.preview.webp"
    assert duplicates(harness) == {waiting.attempt_id: True}


async def test_orphaned_objects_of_a_pending_loser_are_deleted(
    harness: ResultStoreHarness,
) -> None:
    waiting = a_result(1)
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(waiting)
    [published] = await harness.store(a_result(2, OTHER, job_id=waiting.job_id))
    kept = image_of(published).key
    harness.bucket.objects[f"{kept.rpartition('/')[0]}/left-by-a-crash"] = b""
    harness.wake_all()
    await harness.run_late(lambda: harness.publisher.published(ResultStored))
    assert set(harness.bucket.objects) == {kept, f"{kept}.preview.webp"}


@pytest.mark.parametrize("end", [OutputUnavailable("404"), OutputNotReady("503")])
async def test_the_failure_of_one_attempt_keeps_the_other_pending(end: Exception) -> None:
    harness, first = ResultStoreHarness(), a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    harness.fetch.outputs = {PATH: OutputNotReady("503"), OTHER: OutputNotReady("503")}
    await harness.store(first)
    harness.fetch.outputs[PATH] = end
    harness.fetch.slow[PATH] = asyncio.Event()
    harness.wake(first)
    async with background(harness.late.run):
        await until(lambda: len(harness.fetch.fetched) == 2)
        await harness.store(second)
        harness.fetch.slow[PATH].set()
        await asyncio.sleep(0.02)
    document = harness.documents.kept[second.attempt_id]
    assert (document["state"], document["attempt_id"], document["tries"]) == ("pending", second.attempt_id, 0)


@pytest.mark.parametrize("together", [True, False])
async def test_each_of_two_pending_attempts_is_announced(harness: ResultStoreHarness, together: bool) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    pictures = dict(harness.fetch.outputs)
    harness.fetch.outputs = {PATH: OutputNotReady("503"), OTHER: OutputNotReady("503")}
    for batch in [(first, second)] if together else [(first,), (second,)]:
        assert {type(each) for each in await harness.store(*batch)} == {RenderProgressed}
    assert {type(each) for each in await harness.store(second, first)} == {RenderProgressed}, "once more"
    harness.fetch.outputs |= pictures
    harness.wake_all()
    await harness.run_late(lambda: len(duplicates(harness)) == 2)
    announced = duplicates(harness)
    assert (set(announced), sorted(announced.values())) == (
        {first.attempt_id, second.attempt_id},
        [False, True],
    )
    assert len(harness.bucket.objects) == 2, "one image and its preview"


async def test_the_second_pending_attempt_is_stored_after_the_first_was_given_up(
    harness: ResultStoreHarness,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    picture = harness.fetch.outputs[OTHER]
    harness.fetch.outputs = {PATH: OutputNotReady("503"), OTHER: OutputNotReady("503")}
    await harness.store(first, second)
    harness.fetch.outputs = {PATH: OutputUnavailable("404"), OTHER: picture}
    harness.wake_all()
    await harness.run_late(lambda: len(harness.publisher.sent) >= 2)
    assert [each.attempt_id for each in harness.publisher.published(RenderFailed)] == [first.attempt_id]
    assert {each.attempt_id for each in harness.publisher.published(ResultStored)} == {second.attempt_id}
    assert (await harness.asset(second)).state == "stored"


async def test_a_failure_is_published_although_another_attempt_is_stored_before_its_publication(
    harness: ResultStoreHarness,
) -> None:
    harness.outbox.delay_seconds = 0.05
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    picture = harness.fetch.outputs[OTHER]
    harness.fetch.outputs = {PATH: OutputNotReady("503"), OTHER: OutputNotReady("503")}
    await harness.store(first, second)
    harness.fetch.outputs = {PATH: OutputUnavailable("404"), OTHER: picture}
    harness.wake_all()
    await harness.run_late(lambda: len(harness.publisher.sent) >= 2)
    assert {each.attempt_id for each in harness.publisher.published(RenderFailed)} == {first.attempt_id}
    assert {each.attempt_id for each in harness.publisher.published(ResultStored)} == {second.attempt_id}
    assert "outbox" not in harness.document(second)


async def test_a_failure_stays_in_the_outbox_while_the_broker_is_away_and_another_is_stored(
    harness: ResultStoreHarness,
) -> None:
    harness.publisher.away = True
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(first)
    harness.fetch.outputs[PATH] = OutputUnavailable("404")
    harness.wake(first)
    await harness.run_late(lambda: harness.document(first).get("outbox"))
    harness.fetch.outputs[OTHER] = OutputNotReady("503")
    await harness.store(second)
    harness.fetch.outputs[OTHER] = comfyui_png()
    harness.wake(second)
    await harness.run_late(lambda: harness.document(second)["state"] == "stored")
    harness.publisher.away = False
    await harness.outbox.sweep(timedelta(seconds=-1))
    assert [each.attempt_id for each in harness.publisher.published(RenderFailed)] == [first.attempt_id]
    assert [each.attempt_id for each in harness.publisher.published(ResultStored)] == [second.attempt_id]
    assert "outbox" not in harness.document(second)


async def test_an_outbox_entry_that_grows_during_its_publication_is_published_again(
    harness: ResultStoreHarness,
) -> None:
    at, first = now(), a_result(1)
    second = a_result(2, job_id=first.job_id)
    gone = OutputUnavailable("404")
    store = MongoOutboxStore(harness.documents.mongo)
    asset = Asset(id=harness.id_of(first), state="failed", result=first)
    await harness.assets.save([asset.publishing(failure(first, gone), at)])
    read = await store.pending([asset.id])
    await harness.assets.save([asset.publishing(failure(second, gone), at)])
    await store.remove(read)
    await harness.outbox.flush([asset.id])
    published = [each.attempt_id for each in harness.publisher.published(RenderFailed)]
    assert published == [first.attempt_id, second.attempt_id]
    assert "outbox" not in harness.document(first)


async def test_a_pending_attempt_is_announced_after_another_was_stored_at_once(
    harness: ResultStoreHarness,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(first)
    [published] = await harness.store(second)
    assert isinstance(published, ResultStored)
    harness.wake_all()
    await harness.run_late(lambda: harness.publisher.sent)
    [duplicate] = harness.publisher.published(ResultStored)
    assert (duplicate.attempt_id, duplicate.duplicate) == (first.attempt_id, True)
    assert duplicate.image == published.image
