"""Previews: made with their image where there is time, later where there is not, and never left out."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from PIL.Image import Image

from contracts.renders import ResultStored
from services.result_store.images import Preview, encode_preview
from services.result_store.previews import PREVIEW_PAUSES
from shared.clock import now
from tests.fakes.results import PATH, ResultsBench, a_result, image_of, objects_of
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import comfyui_png


def a_bench(
    encode: Callable[[Image], Preview] = encode_preview, *, preview_seconds: float = 4.0
) -> ResultsBench:
    made = ResultsBench(encode=encode, preview_seconds=preview_seconds)
    made.fetch.outputs[PATH] = comfyui_png()
    return made


async def test_an_image_is_stored_with_a_preview_and_a_placeholder() -> None:
    bench, result = a_bench(), a_result()
    [said] = await bench.store(result)
    preview = bench.document(result)["preview"]
    assert preview == {"key": f"{image_of(said).key}.preview.webp", "width": 48, "height": 32}
    assert bench.bucket.types[preview["key"]] == "image/webp"
    assert bench.bucket.objects[preview["key"]][8:12] == b"WEBP"
    assert bench.document(result)["placeholder"]
    assert "preview_due_at" not in bench.document(result)


async def test_a_preview_that_cannot_be_put_does_not_lose_its_image() -> None:
    bench, result = a_bench(), a_result()
    bench.bucket.refused = {".preview.webp"}
    [said] = await bench.store(result)
    assert set(bench.bucket.objects) == {image_of(said).key}
    assert "Could not connect to the endpoint" in bench.document(result)["preview_error"]
    assert bench.document(result)["preview_due_at"] == pytest.approx(
        now() + PREVIEW_PAUSES[0], abs=timedelta(seconds=5)
    )


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("the encoder broke")])
async def test_a_preview_that_fails_does_not_lose_its_image(error: Exception) -> None:
    def fails(_: Image) -> Preview:
        raise error

    bench, result = a_bench(fails), a_result()
    [said] = await bench.store(result)
    assert set(bench.bucket.objects) == {image_of(said).key}
    assert type(error).__name__ in bench.document(result)["preview_error"]


async def test_slow_previews_make_no_image_late_and_their_reason_is_in_words() -> None:
    go_on = threading.Event()

    def slow(small: Image) -> Preview:
        go_on.wait(10)
        return encode_preview(small)

    bench, result = a_bench(slow, preview_seconds=0.02), a_result()
    try:
        [said] = await bench.store(result)
    finally:
        go_on.set()
    assert isinstance(said, ResultStored)
    assert bench.document(result)["preview_error"] == "the preview was not ready within 0.02 s"


async def test_an_image_that_could_not_be_put_leaves_no_preview() -> None:
    go_on = threading.Event()

    def slow(small: Image) -> Preview:
        go_on.wait(10)
        return encode_preview(small)

    bench = a_bench(slow)
    bench.bucket.failures = [ConnectionError("the bucket is away")]
    with pytest.raises(ConnectionError):
        await bench.store(a_result())
    go_on.set()
    [said] = await bench.store(a_result())
    assert set(bench.bucket.objects) == objects_of(said)


async def without_preview() -> tuple[ResultsBench, str]:
    """An image that was stored without its preview, by a process that is gone, and its asset's id."""
    bench, result = a_bench(), a_result()
    bench.bucket.refused = {".preview.webp"}
    await bench.store(result)
    return bench.restarted(), bench.id_of(result)


async def test_a_missing_preview_is_made_later_by_another_process() -> None:
    bench, id_ = await without_preview()
    document = bench.documents.kept[id_]
    document["preview_due_at"] = now()
    async with background(bench.previews.run):
        await until(lambda: "preview" in bench.documents.kept[id_])
    document = bench.documents.kept[id_]
    assert document["preview"] == {"key": f"{document['key']}.preview.webp", "width": 48, "height": 32}
    assert set(bench.bucket.objects) == {document["key"], document["preview"]["key"]}
    assert document["placeholder"]
    assert "preview_error" not in document
    assert "preview_due_at" not in document


def tried_again(bench: ResultsBench, id_: str, before: int) -> bool:
    return int(bench.documents.kept[id_].get("preview_tries", 0)) > before


async def test_a_missing_preview_is_tried_a_few_times_and_then_given_up_with_its_reason() -> None:
    bench, id_ = await without_preview()
    bench.bucket.refused = {".preview.webp"}
    document = bench.documents.kept[id_]
    for _ in PREVIEW_PAUSES:
        before = document.get("preview_tries", 0)
        document["preview_due_at"] = now()
        async with background(bench.previews.run):
            await until(partial(tried_again, bench, id_, before))
        document = bench.documents.kept[id_]
    assert "preview_due_at" not in document
    assert "Could not connect to the endpoint" in document["preview_error"]
    assert document["state"] == "stored"


async def test_nothing_is_written_while_no_preview_is_missing() -> None:
    bench, result = a_bench(), a_result()
    await bench.store(result)
    before = dict(bench.document(result))
    bench.documents.failures = [AssertionError("a write")]
    async with background(bench.previews.run):
        await until(lambda: True)
    assert bench.document(result) == before


async def test_a_preview_that_is_not_due_yet_waits() -> None:
    bench, id_ = await without_preview()
    assert await bench.assets.claim_preview() is None
    bench.documents.kept[id_]["preview_due_at"] = now()
    assert await bench.assets.claim_preview() is not None
    assert await bench.assets.claim_preview() is None, "it is claimed"
