"""The small picture and the placeholder that stand in for a stored image."""

import base64
import struct
import zlib

import pytest
import thumbhash
from PIL import Image

from services.result_store.images import ImageCorrupt, ImageTooLarge, Limits, inspect, preview
from tests.unit.result_store.pictures import (
    BY_CONTENT_TYPE,
    PNG_START,
    SECRET,
    a_picture,
    comfyui_png,
    decoded,
    encoded,
    every_format,
    exif,
    png_chunk,
    png_with,
)


def average(placeholder: str) -> tuple[float, ...]:
    return tuple(thumbhash.thumb_hash_to_average_rgba(list(base64.b64decode(placeholder))))


@every_format
def test_a_preview_is_a_small_webp_of_the_same_shape(content_type: str) -> None:
    small = preview(BY_CONTENT_TYPE[content_type](), longest_side=24)
    assert (small.width, small.height) == (24, 16)
    assert decoded(small.data).format == "WEBP"
    assert decoded(small.data).size == (24, 16)


def test_a_preview_is_512_pixels_long_unless_asked_otherwise() -> None:
    small = preview(encoded(a_picture("RGB", 300, 1200), "JPEG"))
    assert (small.width, small.height) == (128, 512)


def test_a_small_image_is_not_made_larger() -> None:
    assert preview(comfyui_png()).width == 48


def test_a_preview_carries_no_metadata() -> None:
    assert SECRET not in preview(comfyui_png()).data


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    + [(mode, "JPEG") for mode in ("L", "RGB", "CMYK")]
    + [(mode, "WEBP") for mode in ("RGB", "RGBA")],
)
def test_every_variety_looks_like_the_original(mode: str, kind: str) -> None:
    image = a_picture(mode, 64, 64)
    seen = decoded(preview(encoded(image, kind), longest_side=32).data).convert("L")
    top, bottom = seen.getpixel((16, 1)), seen.getpixel((16, 30))
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert top > 180
    assert bottom < 100


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_survives(mode: str) -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0)).convert(mode)
    options = {"transparency": 0} if mode == "P" else {}
    small = preview(encoded(clear, "PNG", **options), longest_side=20)
    assert decoded(small.data).convert("RGBA").getchannel("A").getextrema() == (0, 0)


def test_the_placeholder_has_the_colour_of_the_picture() -> None:
    small = preview(encoded(Image.new("RGB", (99, 9), "red"), "PNG"))
    red, green, blue, alpha = average(small.placeholder)
    assert red > 0.9
    assert green < 0.1
    assert blue < 0.1
    assert alpha == 1


def test_the_placeholder_of_something_transparent_is_that_of_the_picture_on_white() -> None:
    clear = encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG")
    white = encoded(Image.new("RGB", (64, 64), "white"), "PNG")
    assert preview(clear).placeholder == preview(white).placeholder


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_odd_shapes_have_a_preview_too(size: tuple[int, int]) -> None:
    small = preview(encoded(Image.new("RGB", size), "PNG"))
    assert min(small.width, small.height) == 1
    assert len(small.placeholder) < 40


def test_the_preview_of_an_image_with_an_exif_orientation_is_upright() -> None:
    small = preview(encoded(a_picture(), "JPEG", exif=exif(6)), longest_side=24)
    assert (small.width, small.height) == (16, 24)


def test_pixels_that_cannot_be_decoded_are_named_corrupt() -> None:
    data = encoded(a_picture(), "PNG")
    whole = data[:33] + png_chunk(b"IDAT", b"\x78\x9cno deflate stream") + png_chunk(b"IEND")
    assert inspect(whole).width == 48
    with pytest.raises(ImageCorrupt, match="cannot be decoded"):
        preview(whole)


def test_a_text_that_unpacks_to_megabytes_is_not_unpacked() -> None:
    packed = b"workflow\0\0" + zlib.compress(bytes(5_000_000))
    assert preview(png_with(png_chunk(b"zTXt", packed), comfyui_png())).width == 48


def test_too_many_pixels_are_not_decoded() -> None:
    with pytest.raises(ImageTooLarge):
        preview(comfyui_png(), limits=Limits(max_pixels=100))


def test_limits_are_independent_of_pillows_process_wide_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)  # Pillow would warn, a failure here
    assert preview(comfyui_png()).width == 48


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(("colour", "depth"), [(0, 1), (0, 8), (0, 16), (2, 8), (3, 4), (6, 8)])
def test_a_black_picture_of_any_kind_is_whole(colour: int, depth: int, interlaced: int) -> None:
    """Its rows look as missing ones do."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 13, 9, depth, colour, 0, 0, interlaced))
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    palette = png_chunk(b"PLTE", bytes(48)) if colour == 3 else b""
    sides = [(2, 2), (2, 2), (4, 1), (3, 3), (7, 2), (6, 5), (13, 4)] if interlaced else [(13, 9)]
    rows = b"".join(bytes(high * (1 + (wide * channels * depth + 7) // 8)) for wide, high in sides)

    def picture(rows: bytes) -> bytes:
        return PNG_START + header + palette + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND")

    assert preview(picture(rows)).width == 13
    with pytest.raises(ImageCorrupt):
        preview(picture(rows[:-1]))
