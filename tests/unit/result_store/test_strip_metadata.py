"""Stripping removes the metadata of an image and changes none of its pixels."""

import io

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat

from services.result_store.images import accept, inspect
from tests.unit.result_store.pictures import (
    BY_CONTENT_TYPE,
    SECRET,
    a_picture,
    comfyui_png,
    decoded,
    encoded,
    every_format,
    exif,
    pixels,
    png_chunk,
    png_with,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def difference(one: Image.Image, other: Image.Image) -> float:
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return max(ImageStat.Stat(apart).mean)


def test_a_comfyui_png_loses_its_prompt_and_workflow_and_keeps_its_pixels() -> None:
    data = comfyui_png()
    assert set(decoded(data).info) == {"prompt", "workflow"}
    clean = accept(data).data
    assert decoded(clean).info == {}
    assert SECRET not in clean
    assert pixels(clean) == pixels(data)


@every_format
def test_metadata_goes_and_pixels_stay_bit_for_bit(content_type: str) -> None:
    data = BY_CONTENT_TYPE[content_type]()
    assert SECRET in data
    clean = accept(data).data
    assert SECRET not in clean
    assert pixels(clean) == pixels(data)
    assert not decoded(clean).getexif()


@every_format
def test_stripping_twice_changes_nothing_more(content_type: str) -> None:
    clean = accept(BY_CONTENT_TYPE[content_type]()).data
    assert accept(clean).data == clean


@every_format
def test_bytes_after_the_end_are_removed(content_type: str) -> None:
    data = BY_CONTENT_TYPE[content_type]()
    assert accept(data + b"PK\x03\x04").data == accept(data).data


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("1", "PNG", {}),
        ("P", "PNG", {"transparency": 3}),
        ("RGB", "PNG", {"transparency": (0, 0, 0)}),
        ("RGBA", "PNG", {}),
        ("I;16", "PNG", {}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "JPEG", {"restart_marker_blocks": 1}),
        ("RGBA", "WEBP", {}),
        ("RGBA", "WEBP", {"lossless": True}),
    ],
)
def test_no_variety_changes_a_pixel(mode: str, kind: str, options: dict[str, object]) -> None:
    data = encoded(a_picture(mode, 47, 31), kind, exif=exif(), **options)
    clean = accept(data).data
    assert SECRET in data
    assert SECRET not in clean
    assert pixels(clean) == pixels(data)
    before, after = decoded(data), decoded(clean)
    assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_colour_profiles_stay(kind: str) -> None:
    data = encoded(a_picture(), kind, icc_profile=SRGB, exif=exif())
    assert decoded(accept(data).data).info["icc_profile"] == SRGB


def test_a_cmyk_jpeg_keeps_the_segment_that_says_how_to_read_its_colours() -> None:
    data = encoded(a_picture("CMYK"), "JPEG")
    assert b"\xff\xee\x00\x0eAdobe" in data
    assert accept(data).data == data


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"caBX", b"prVt"])
def test_every_png_chunk_that_draws_nothing_goes(kind: bytes) -> None:
    data = encoded(a_picture(), "PNG")
    assert accept(png_with(png_chunk(kind, b"k\0\0" + SECRET), data)).data == data


@pytest.mark.parametrize("app", [0xE0, 0xE1, 0xE2, 0xE3, 0xEB, 0xED, 0xEE, 0xEF, 0xFE])
def test_every_jpeg_segment_that_draws_nothing_goes(app: int) -> None:
    data = encoded(a_picture(), "JPEG")
    segment = bytes([0xFF, app, 0, 2 + len(SECRET)]) + SECRET
    assert accept(data[:2] + segment + data[2:]).data == data


def test_a_webp_no_longer_announces_what_it_lost() -> None:
    clean = accept(BY_CONTENT_TYPE["image/webp"]()).data
    assert clean[12:16] == b"VP8X"
    assert clean[20] & 0x0C == 0
    assert int.from_bytes(clean[4:8], "little") == len(clean) - 8


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_with_an_exif_orientation_is_stored_upright(kind: str, orientation: int) -> None:
    data = encoded(a_picture(), kind, exif=exif(orientation))
    shown = ImageOps.exif_transpose(decoded(data))
    clean = accept(data).data
    assert SECRET not in clean
    assert inspect(clean) == inspect(data)
    assert decoded(clean).size == shown.size
    assert difference(decoded(clean), shown) < (0.1 if kind == "PNG" else 3)


def test_a_turned_picture_keeps_its_colour_profile() -> None:
    data = encoded(a_picture(), "JPEG", exif=exif(6), icc_profile=SRGB)
    assert decoded(accept(data).data).info["icc_profile"] == SRGB


def test_damaged_exif_is_dropped_like_any_other() -> None:
    data = encoded(a_picture(), "JPEG")
    for damaged in (b"", b"MM\0*", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(9)):
        payload = b"Exif\0\0" + damaged
        segment = b"\xff\xe1" + (2 + len(payload)).to_bytes(2) + payload
        assert accept(data[:2] + segment + data[2:]).data == data


def test_a_jpeg_of_many_pictures_keeps_the_first() -> None:
    file = io.BytesIO()
    a_picture().save(file, "MPO", save_all=True, append_images=[a_picture("RGB", 8, 8)])
    clean = accept(file.getvalue()).data
    assert b"MPF\0" not in clean
    assert clean.count(b"\xff\xd8\xff") == 1
    assert decoded(clean).size == (48, 32)
