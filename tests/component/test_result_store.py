"""render.succeeded → an image in the bucket, its asset, and what is said of it."""

import hashlib

import pytest
from botocore.exceptions import EndpointConnectionError

from contracts.renders import Output, RenderFailed, RenderProgressed, ResultStored
from services.result_store.fetching import OutputUnavailable
from tests.fakes.provider import a_spec
from tests.fakes.results import PATH, ResultsBench, a_result, image_of, objects_of
from tests.unit.result_store.pictures import SECRET, a_picture, comfyui_png, pixels

OTHER = "/outputs/other.png"


@pytest.fixture
def bench() -> ResultsBench:
    made = ResultsBench()
    made.fetch.outputs[PATH] = comfyui_png()
    made.fetch.outputs[OTHER] = comfyui_png(a_picture(width=96, height=64))
    return made


async def test_an_output_is_stored_under_its_hash_and_said_with_all_that_is_known_of_it(
    bench: ResultsBench,
) -> None:
    result = a_result(2, spec=a_spec(index=3, prompt="a pier", width=48, height=32))
    [said] = await bench.store(result)
    assert isinstance(said, ResultStored)
    image = image_of(said)
    data = bench.bucket.objects[image.key]
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert image.key == f"acme/{result.job_id}/3/{image.sha256}"
    assert (image.width, image.height, image.bytes) == (48, 32, len(data))
    assert (image.seed, image.prompt, image.provider, image.attempt) == (42, "a pier", "modal", 2)
    assert (said.attempt_id, said.duplicate, said.cost_usd) == (result.attempt_id, False, 0.02)
    assert bench.bucket.types[image.key] == "image/png"


async def test_the_asset_has_what_other_services_read(bench: ResultsBench) -> None:
    result = a_result()
    [said] = await bench.store(result)
    assert isinstance(said, ResultStored)
    document = bench.document(result)
    assert (document["tenant"], document["job_id"]) == ("acme", result.job_id)
    assert (document["state"], document["key"]) == ("stored", image_of(said).key)
    assert document["attempt_id"] == result.attempt_id


async def test_the_workflow_in_the_metadata_is_not_delivered(bench: ResultsBench) -> None:
    raw = bench.fetch.outputs[PATH]
    assert isinstance(raw, bytes)
    [said] = await bench.store(a_result())
    assert isinstance(said, ResultStored)
    kept = bench.bucket.objects[image_of(said).key]
    assert SECRET in raw
    assert SECRET not in kept
    assert pixels(kept) == pixels(raw)


async def test_a_redelivered_result_is_said_the_same_and_fetched_no_more(bench: ResultsBench) -> None:
    result = a_result()
    first = await bench.store(result)
    for _ in range(3):
        assert await bench.store(result) == first
    assert bench.fetch.fetched == [PATH]
    assert len(bench.bucket.puts) == 2, "the image and its preview"


async def test_a_second_attempt_is_a_duplicate_that_is_neither_fetched_nor_stored(
    bench: ResultsBench,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    [winner] = await bench.store(first)
    [said] = await bench.store(second)
    assert isinstance(said, ResultStored)
    assert isinstance(winner, ResultStored)
    assert (said.attempt_id, said.duplicate, said.image) == (second.attempt_id, True, winner.image)
    assert set(bench.bucket.objects) == objects_of(winner)


async def test_of_two_attempts_at_once_one_wins_and_the_others_object_is_removed(
    bench: ResultsBench,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    said = [message for message in await bench.store(first, second) if isinstance(message, ResultStored)]
    assert [message.duplicate for message in said] == [False, True]
    assert said[0].image == said[1].image
    assert set(bench.bucket.objects) == objects_of(said[0])
    assert len(bench.bucket.deleted) == 2
    assert bench.document(first)["preview"]["key"] in bench.bucket.objects


async def test_a_losers_object_that_a_crash_left_is_removed_when_its_result_comes_again(
    bench: ResultsBench,
) -> None:
    first = a_result(1)
    second = a_result(2, OTHER, job_id=first.job_id)
    bench.bucket.deletions = [EndpointConnectionError(endpoint_url="s3")]
    with pytest.raises(EndpointConnectionError):
        await bench.store(first, second)
    kept = bench.document(first)["key"]
    assert len(bench.bucket.objects) == 4
    await bench.store(first, second)
    assert set(bench.bucket.objects) == {kept, f"{kept}.preview.webp"}


async def test_the_same_picture_from_two_attempts_is_not_removed(bench: ResultsBench) -> None:
    first = a_result(1)
    said = await bench.store(first, a_result(2, job_id=first.job_id))
    assert [message.duplicate for message in said if isinstance(message, ResultStored)] == [False, True]
    assert set(bench.bucket.objects) == objects_of(said[0])
    assert bench.bucket.deleted == []


async def test_another_process_may_have_stored_first(bench: ResultsBench) -> None:
    mine = a_result(2)
    theirs = a_result(1, OTHER, job_id=mine.job_id)
    other = ResultsBench()
    other.fetch.outputs = bench.fetch.outputs
    [winner] = await other.store(theirs)
    bench.fetch.meanwhile = lambda: bench.documents.kept.update(other.documents.kept)
    [said] = await bench.store(mine)
    assert isinstance(said, ResultStored)
    assert isinstance(winner, ResultStored)
    assert (said.duplicate, said.image) == (True, winner.image)
    assert sorted(bench.bucket.puts) == sorted(bench.bucket.deleted)
    assert len(bench.bucket.deleted) == 2


async def test_results_of_many_renders_cost_one_write(bench: ResultsBench) -> None:
    said = await bench.store(*(a_result() for _ in range(20)))
    assert len(said) == 20
    assert bench.documents.bulk_writes == 1


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (b"<html>sorry</html>", "not_an_image"),
        (comfyui_png()[:-20], "image_corrupt"),
        (b"\x89PNG" + b"0" * 100_001, "image_too_large"),
        (OutputUnavailable("404"), "output_unavailable"),
    ],
)
async def test_what_is_no_image_of_ours_is_a_failure_with_its_reason(
    bench: ResultsBench, output: bytes | Exception, code: str
) -> None:
    bench.fetch.outputs[PATH] = output
    result = a_result()
    [said] = await bench.store(result)
    assert isinstance(said, RenderFailed)
    assert (said.attempt_id, said.code, said.retryable, said.billed) == (
        result.attempt_id,
        code,
        True,
        "yes",
    )
    assert (bench.bucket.objects, bench.documents.kept) == ({}, {})


async def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    bench = ResultsBench(max_pixels=100)
    bench.fetch.outputs[PATH] = comfyui_png()
    [said] = await bench.store(a_result())
    assert isinstance(said, RenderFailed)
    assert said.code == "image_too_large"


async def test_a_bad_image_does_not_harm_the_good_ones_beside_it(bench: ResultsBench) -> None:
    bench.fetch.outputs["/bad"] = b"no"
    said = await bench.store(a_result(), a_result(path="/bad"), a_result(path=OTHER))
    assert [type(message).__name__ for message in said] == ["ResultStored", "RenderFailed", "ResultStored"]


async def test_a_flagged_output_is_left_for_one_that_is_not(bench: ResultsBench) -> None:
    outputs = (Output(path=PATH, nsfw=True), Output(path=OTHER))
    await bench.store(a_result(outputs=outputs))
    assert bench.fetch.fetched == [OTHER]


async def test_a_bucket_that_is_away_leaves_the_batch_to_be_delivered_again(bench: ResultsBench) -> None:
    result = a_result()
    bench.bucket.failures = [TimeoutError("the bucket is away")]
    [said] = await bench.store(result)
    assert isinstance(said, RenderProgressed), "what takes too long is tried again in the background"
    bench.documents.kept.clear()
    bench.bucket.failures = [ConnectionError("the bucket is away")]
    with pytest.raises(ConnectionError):
        await bench.store(result)
    assert bench.documents.kept == {}
