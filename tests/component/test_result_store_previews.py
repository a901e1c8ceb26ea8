"""Previews: made beside their image, or later in the background."""

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
from tests.fakes.results import PATH, ResultStoreHarness, a_result, image_of, objects_of
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import comfyui_png


def a_bench(
    encode: Callable[[Image], Preview] = encode_preview, *, preview_seconds: float = 4.0
) -> ResultStoreHarness:
    made = ResultStoreHarness(encode=encode, preview_seconds=preview_seconds)
    made.fetch.outputs[PATH] = comfyui_png()
    return made


async def test_an_image_is_stored_with_a_preview_and_a_placeholder() -> None:
    harness, result = a_bench(), a_result()
    [published] = await harness.store(result)
    preview = harness.document(result)["preview"]
    assert preview == {"key": f"{image_of(published).key}.preview.webp", "width": 48, "height": 32}
    assert harness.bucket.types[preview["key"]] == "image/webp"
    assert harness.bucket.objects[preview["key"]][8:12] == b"WEBP"
    assert harness.document(result)["placeholder"]
    assert "preview_due_at" not in harness.document(result)


async def test_an_image_is_stored_although_its_preview_cannot_be() -> None:
    harness, result = a_bench(), a_result()
    harness.bucket.refused = {".preview.webp"}
    [published] = await harness.store(result)
    assert set(harness.bucket.objects) == {image_of(published).key}
    assert "Could not connect to the endpoint" in harness.document(result)["preview_error"]
    assert harness.document(result)["preview_due_at"] == pytest.approx(
        now() + PREVIEW_PAUSES[0], abs=timedelta(seconds=5)
    )


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("the encoder broke")])
async def test_an_image_is_stored_although_its_preview_fails(error: Exception) -> None:
    def fails(_: Image) -> Preview:
        raise error

    harness, result = a_bench(fails), a_result()
    [published] = await harness.store(result)
    assert set(harness.bucket.objects) == {image_of(published).key}
    assert type(error).__name__ in harness.document(result)["preview_error"]


async def test_slow_previews_delay_no_image_and_have_a_readable_reason() -> None:
    go_on = threading.Event()

    def slow(small: Image) -> Preview:
        go_on.wait(10)
        return encode_preview(small)

    harness, result = a_bench(slow, preview_seconds=0.02), a_result()
    try:
        [published] = await harness.store(result)
    finally:
        go_on.set()
    assert isinstance(published, ResultStored)
    assert harness.document(result)["preview_error"] == "the preview was not ready within 0.02 s"


async def test_an_image_that_cannot_be_stored_leaves_no_preview() -> None:
    go_on = threading.Event()

    def slow(small: Image) -> Preview:
        go_on.wait(10)
        return encode_preview(small)

    harness = a_bench(slow)
    harness.bucket.failures = [ConnectionError("the bucket is away")]
    with pytest.raises(ConnectionError):
        await harness.store(a_result())
    go_on.set()
    [published] = await harness.store(a_result())
    assert set(harness.bucket.objects) == objects_of(published)


async def without_preview() -> tuple[ResultStoreHarness, str]:
    """An image that was stored without its preview, by a process that is gone, and its asset's id."""
    harness, result = a_bench(), a_result()
    harness.bucket.refused = {".preview.webp"}
    await harness.store(result)
    return harness.restarted(), harness.id_of(result)


async def test_a_missing_preview_is_made_later_by_another_process() -> None:
    harness, id_ = await without_preview()
    document = harness.documents.kept[id_]
    document["preview_due_at"] = now()
    async with background(harness.previews.run):
        await until(lambda: "preview" in harness.documents.kept[id_])
    document = harness.documents.kept[id_]
    assert document["preview"] == {"key": f"{document['key']}.preview.webp", "width": 48, "height": 32}
    assert set(harness.bucket.objects) == {document["key"], document["preview"]["key"]}
    assert document["placeholder"]
    assert "preview_error" not in document
    assert "preview_due_at" not in document


def tried_again(harness: ResultStoreHarness, id_: str, before: int) -> bool:
    return int(harness.documents.kept[id_].get("preview_tries", 0)) > before


async def test_a_missing_preview_is_given_up_after_a_few_tries_with_its_reason() -> None:
    harness, id_ = await without_preview()
    harness.bucket.refused = {".preview.webp"}
    document = harness.documents.kept[id_]
    for _ in PREVIEW_PAUSES:
        before = document.get("preview_tries", 0)
        document["preview_due_at"] = now()
        async with background(harness.previews.run):
            await until(partial(tried_again, harness, id_, before))
        document = harness.documents.kept[id_]
    assert "preview_due_at" not in document
    assert "Could not connect to the endpoint" in document["preview_error"]
    assert document["state"] == "stored"


async def test_nothing_is_written_while_no_preview_is_missing() -> None:
    harness, result = a_bench(), a_result()
    await harness.store(result)
    before = dict(harness.document(result))
    harness.documents.failures = [AssertionError("a write")]
    async with background(harness.previews.run):
        await until(lambda: True)
    assert harness.document(result) == before


async def test_a_preview_that_is_not_due_yet_waits() -> None:
    harness, id_ = await without_preview()
    assert await harness.assets.claim_preview() is None
    harness.documents.kept[id_]["preview_due_at"] = now()
    assert await harness.assets.claim_preview() is not None
    assert await harness.assets.claim_preview() is None, "it is claimed"
