"""Outputs with undecodable pixels or another size than requested fail their attempt."""

import pytest
from PIL import Image

from contracts.base import Message
from contracts.renders import RenderFailed, ResultStored
from tests.fakes.provider import a_spec
from tests.fakes.results import PATH, ResultStoreHarness, a_result, image_of
from tests.unit.result_store.damage import broken_pixels, cut_scans, with_broken_notes
from tests.unit.result_store.pictures import a_picture, encoded, every_format, pixels


async def stored(data: bytes, *, free_size: bool = False, **spec: int) -> tuple[Message, ResultStoreHarness]:
    harness = ResultStoreHarness(max_pixels=3_000_000)
    harness.fetch.outputs[PATH] = data
    sides = {"width": 48, "height": 32} | spec
    [published] = await harness.store(a_result(spec=a_spec(**sides), free_size=free_size))
    return published, harness


@pytest.mark.parametrize("data", [*broken_pixels(), *cut_scans()])
async def test_undecodable_pixels_are_corrupt_and_the_render_may_be_retried(data: bytes) -> None:
    published, harness = await stored(data)
    assert isinstance(published, RenderFailed)
    assert (published.code, published.retryable, published.billed) == ("image_corrupt", True, "yes")
    assert (harness.bucket.objects, harness.documents.kept) == ({}, {})


@pytest.mark.parametrize("data", with_broken_notes())
async def test_damage_in_a_removed_part_does_not_refuse_the_image(data: bytes) -> None:
    published, harness = await stored(data)
    assert isinstance(published, ResultStored)
    kept = harness.bucket.objects[image_of(published).key]
    assert pixels(kept)[1] == (48, 32)
    assert b"SECRET" not in kept


@every_format
async def test_bytes_after_the_end_of_an_image_are_removed(content_type: str) -> None:
    data = encoded(a_picture(), content_type.removeprefix("image/").upper())
    published, harness = await stored(data + b"garbage after the end")
    assert harness.bucket.objects[image_of(published).key] == data


@pytest.mark.parametrize(
    ("width", "height", "is_right"),
    [
        (896, 1152, True),
        (1792, 2304, False),  # more pixels than this harness's limit
        (1344, 1728, True),  # an upscaler
        (448, 576, True),
        (447, 575, False),
        (896, 1120, True),  # rounded
        (864, 1152, True),
        (832, 1152, False),
        (1024, 1024, False),
        (1152, 896, False),
        (1, 1, False),
        (64, 64, False),
    ],
)
async def test_an_image_must_have_about_the_requested_size(width: int, height: int, is_right: bool) -> None:
    published, _ = await stored(encoded(Image.new("L", (width, height)), "PNG"), width=896, height=1152)
    assert isinstance(published, ResultStored) == is_right
    if isinstance(published, RenderFailed) and width < 1792:
        assert (published.code, published.retryable) == ("wrong_size", False)
        assert f"{width}x{height} pixels instead of 896x1152" in published.message


@pytest.mark.parametrize(("side", "is_right"), [(1, False), (15, False), (16, True), (2000, False)])
async def test_a_size_chosen_by_the_provider_has_only_a_minimum(side: int, is_right: bool) -> None:
    published, _ = await stored(
        encoded(Image.new("L", (side, 32)), "PNG"), free_size=True, width=896, height=1152
    )
    assert isinstance(published, ResultStored) == (is_right or side == 2000)
