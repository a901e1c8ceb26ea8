"""render.succeeded → an image in the bucket, its asset, and messages."""

import hashlib

import pytest
from botocore.exceptions import EndpointConnectionError

from contracts.renders import Output, RenderFailed, RenderProgressed, ResultStored
from services.result_store.fetching import OutputUnavailable
from tests.fakes.provider import a_spec
from tests.fakes.results import PATH, ResultStoreHarness, a_result, image_of, objects_of
from tests.unit.result_store.pictures import SECRET, a_picture, comfyui_png, pixels

OTHER = "/outputs/other.png"


@pytest.fixture
def harness() -> ResultStoreHarness:
    made = ResultStoreHarness()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


async def test_an_output_is_stored_under_its_hash_and_published_with_its_details(
    harness: ResultStoreHarness,
) -> None:
    result = a_result(2, spec=a_spec(index=3, prompt="a pier", width=48, height=32))
    [published] = await harness.store(result)
    assert isinstance(published, ResultStored)
    image = image_of(published)
    data = harness.bucket.objects[image.key]
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert image.key == f"acme/{result.job_id}/3/{image.sha256}"
    assert (image.width, image.height, image.bytes) == (48, 32, len(data))
    assert (image.seed, image.prompt, image.provider, image.attempt) == (42, "a pier", "modal", 2)
    assert (published.attempt_id, published.duplicate, published.cost_usd) == (result.attempt_id, False, 0.02)
    assert harness.bucket.types[image.key] == "image/png"


async def test_the_asset_has_the_fields_that_other_services_read(harness: ResultStoreHarness) -> None:
    result = a_result()
    [published] = await harness.store(result)
    assert isinstance(published, ResultStored)
    document = harness.document(result)
    assert (document["tenant"], document["job_id"]) == ("acme", result.job_id)
    assert (document["state"], document["key"]) == ("stored", image_of(published).key)
    assert document["attempt_id"] == result.attempt_id


async def test_the_workflow_in_the_metadata_is_not_delivered(harness: ResultStoreHarness) -> None:
    raw = harness.fetch.outputs[PATH]
    assert isinstance(raw, bytes)
    [published] = await harness.store(a_result())
    assert isinstance(published, ResultStored)
    kept = harness.bucket.objects[image_of(published).key]
    assert SECRET in raw
    assert SECRET not in kept
    assert pixels(kept) == pixels(raw)


async def test_a_redelivered_result_is_published_again_without_a_fetch(harness: ResultStoreHarness) -> None:
    result = a_result()
    first = await harness.store(result)
    for _ in range(3):
        assert await harness.store(result) == first
    assert harness.fetch.fetched == [PATH]
    assert len(harness.bucket.puts) == 2, "the image and its preview"


async def test_a_second_attempt_is_a_duplicate_that_is_neither_fetched_nor_stored(
    harness: ResultStoreHarness,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    [winner] = await harness.store(first)
    [published] = await harness.store(second)
    assert isinstance(published, ResultStored)
    assert isinstance(winner, ResultStored)
    assert (published.attempt_id, published.duplicate, published.image) == (
        second.attempt_id,
        True,
        winner.image,
    )
    assert set(harness.bucket.objects) == objects_of(winner)


async def test_one_of_two_concurrent_attempts_wins_and_the_losers_object_is_deleted(
    harness: ResultStoreHarness,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    published = [
        message for message in await harness.store(first, second) if isinstance(message, ResultStored)
    ]
    assert [message.duplicate for message in published] == [False, True]
    assert published[0].image == published[1].image
    assert set(harness.bucket.objects) == objects_of(published[0])
    assert len(harness.bucket.deleted) == 2
    assert harness.document(first)["preview"]["key"] in harness.bucket.objects


async def test_orphaned_objects_of_a_loser_are_deleted_when_its_result_is_redelivered(
    harness: ResultStoreHarness,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    harness.bucket.deletions = [EndpointConnectionError(endpoint_url="s3")]
    with pytest.raises(EndpointConnectionError):
        await harness.store(first, second)
    kept = harness.document(first)["key"]
    assert len(harness.bucket.objects) == 4
    await harness.store(first, second)
    assert set(harness.bucket.objects) == {kept, f"{kept}.preview.webp"}


async def test_the_same_picture_from_two_attempts_is_not_removed(harness: ResultStoreHarness) -> None:
    first = a_result(1)
    published = await harness.store(first, a_result(2, job_id=first.job_id))
    assert [message.duplicate for message in published if isinstance(message, ResultStored)] == [False, True]
    assert set(harness.bucket.objects) == objects_of(published[0])
    assert harness.bucket.deleted == []


async def test_another_process_may_have_stored_first(harness: ResultStoreHarness) -> None:
    mine = a_result(2)
    theirs = a_result(1, OTHER, job_id=mine.job_id)
    other = ResultStoreHarness()
    other.fetch.outputs = harness.fetch.outputs
    [winner] = await other.store(theirs)
    harness.fetch.meanwhile = lambda: harness.documents.kept.update(other.documents.kept)
    [published] = await harness.store(mine)
    assert isinstance(published, ResultStored)
    assert isinstance(winner, ResultStored)
    assert (published.duplicate, published.image) == (True, winner.image)
    assert sorted(harness.bucket.puts) == sorted(harness.bucket.deleted)
    assert len(harness.bucket.deleted) == 2


async def test_results_of_many_renders_cost_one_write(harness: ResultStoreHarness) -> None:
    published = await harness.store(*(a_result() for _ in range(20)))
    assert len(published) == 20
    assert harness.documents.bulk_writes == 1


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (b"<html>sorry</html>", "not_an_image"),
        (comfyui_png()[:-20], "image_corrupt"),
        (b"\x89PNG" + b"0" * 100_001, "image_too_large"),
        (OutputUnavailable("404"), "output_unavailable"),
    ],
)
async def test_an_unacceptable_output_is_a_failure_with_its_reason(
    harness: ResultStoreHarness, output: bytes | Exception, code: str
) -> None:
    harness.fetch.outputs[PATH] = output
    result = a_result()
    [published] = await harness.store(result)
    assert isinstance(published, RenderFailed)
    assert (published.attempt_id, published.code, published.retryable, published.billed) == (
        result.attempt_id,
        code,
        True,
        "yes",
    )
    assert (harness.bucket.objects, harness.documents.kept) == ({}, {})


async def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    harness = ResultStoreHarness(max_pixels=100)
    harness.fetch.outputs[PATH] = comfyui_png()
    [published] = await harness.store(a_result())
    assert isinstance(published, RenderFailed)
    assert published.code == "image_too_large"


async def test_a_bad_image_does_not_harm_the_good_ones_beside_it(harness: ResultStoreHarness) -> None:
    harness.fetch.outputs["/bad"] = b"no"
    published = await harness.store(a_result(), a_result(path="/bad"), a_result(path=OTHER))
    assert [type(message).__name__ for message in published] == [
        "ResultStored",
        "RenderFailed",
        "ResultStored",
    ]


async def test_an_output_without_a_flag_is_preferred_to_a_flagged_one(harness: ResultStoreHarness) -> None:
    outputs = (Output(path=PATH, nsfw=True), Output(path=OTHER))
    await harness.store(a_result(outputs=outputs))
    assert harness.fetch.fetched == [OTHER]


async def test_an_outage_of_the_bucket_fails_the_batch_for_redelivery(harness: ResultStoreHarness) -> None:
    result = a_result()
    harness.bucket.failures = [TimeoutError("the bucket is away")]
    [published] = await harness.store(result)
    assert isinstance(published, RenderProgressed), "what takes too long is tried again in the background"
    harness.documents.kept.clear()
    harness.bucket.failures = [ConnectionError("the bucket is away")]
    with pytest.raises(ConnectionError):
        await harness.store(result)
    assert harness.documents.kept == {}
