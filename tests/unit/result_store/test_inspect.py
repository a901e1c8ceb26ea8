"""Images that the result-store accepts, by their bytes alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from services.result_store.images import (
    BadImage,
    ImageCorrupt,
    ImageUnsupported,
    Inspected,
    Limits,
    NotAnImage,
    accept,
    encode_preview,
    inspect,
)
from tests.unit.result_store.damage import palette_png
from tests.unit.result_store.pictures import (
    BY_CONTENT_TYPE,
    PNG_START,
    a_picture,
    comfyui_png,
    decoded,
    encoded,
    every_format,
    exif,
    png_chunk,
    png_header,
    png_with,
)

HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
PNGS = (
    comfyui_png(),
    encoded(a_picture("P"), "PNG", transparency=3),
    palette_png((b"PLTE", b"tRNS", b"tEXt", b"IDAT"), tEXt=b"k\0text"),
    encoded(a_picture("RGBA"), "PNG"),
)
SAMPLES = {content_type: make() for content_type, make in BY_CONTENT_TYPE.items()}


@every_format
def test_an_image_is_known_by_its_bytes(content_type: str) -> None:
    assert inspect(SAMPLES[content_type], Limits()) == Inspected(content_type, 48, 32)


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("1", "PNG", {}),
        ("P", "PNG", {}),
        ("LA", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("I;16", "PNG", {}),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "JPEG", {"progressive": True}),
        ("RGB", "JPEG", {"restart_marker_blocks": 1}),
        ("RGBA", "WEBP", {}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "WEBP", {"lossless": True, "icc_profile": b"odd"}),
    ],
)
def test_every_usual_variety_is_accepted(mode: str, kind: str, options: dict[str, object]) -> None:
    found = inspect(encoded(a_picture(mode), kind, **options), Limits())
    assert (found.width, found.height) == (48, 32)


@pytest.mark.parametrize("data", [b"", b"just text", HTML, b"GIF89a" + bytes(50), b"RIFF1234WAVE"])
def test_other_bytes_are_refused_as_not_an_image(data: bytes) -> None:
    with pytest.raises(NotAnImage):
        inspect(data, Limits())


def test_the_refusal_shows_how_the_bytes_begin() -> None:
    with pytest.raises(NotAnImage, match="<!DOCTYPE html>"):
        inspect(HTML, Limits())


@every_format
@pytest.mark.parametrize("tenths", range(10))
def test_a_cut_off_image_is_refused(content_type: str, tenths: int) -> None:
    data = SAMPLES[content_type]
    with pytest.raises(BadImage):
        accept(data[: len(data) * tenths // 10], Limits())


@pytest.mark.parametrize(("kind", "missing"), [("PNG", 13), ("JPEG", 3), ("WEBP", 1)])
def test_a_single_missing_byte_of_the_picture_is_noticed(kind: str, missing: int) -> None:
    whole = encoded(a_picture(), kind)
    with pytest.raises(ImageCorrupt):
        accept(whole[:-missing], Limits())


@pytest.mark.parametrize(("kind", "most"), [("PNG", 12), ("JPEG", 2)])
def test_a_missing_end_is_written_again(kind: str, most: int) -> None:
    whole = encoded(a_picture(), kind)
    for missing in range(1, most + 1):
        assert accept(whole[:-missing], Limits()).data == whole


def test_a_webp_cut_between_two_chunks_is_refused() -> None:
    data = SAMPLES["image/webp"]
    with pytest.raises(ImageCorrupt, match="cut off"):
        inspect(data[: data.index(b"EXIF")], Limits())


@every_format
def test_a_lenient_pillow_changes_nothing(content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageCorrupt):
        accept(SAMPLES[content_type][:-20], Limits())


@given(st.sampled_from(PNGS), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_anywhere_in_a_png_is_noticed_or_changes_no_pixel(
    whole: bytes, where: float, change: int
) -> None:
    data = bytearray(whole)
    data[int(where * len(data))] ^= change
    with suppress(BadImage):
        kept = decoded(accept(bytes(data), Limits(max_pixels=10_000)).data)
        assert kept.convert("RGBA").tobytes() == decoded(whole).convert("RGBA").tobytes()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    frames = [a_picture(), a_picture().transpose(Image.Transpose.ROTATE_180)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageUnsupported, match="animated"):
        inspect(data, Limits())


@pytest.mark.parametrize(
    "data",
    [
        PNG_START + png_header(0, 5) + png_chunk(b"IDAT") + png_chunk(b"IEND"),
        PNG_START + png_header(5, 5) + png_chunk(b"IEND"),
        PNG_START + png_chunk(b"IDAT") + png_header(5, 5) + png_chunk(b"IEND"),
        png_with(png_header(60_000, 60_000), comfyui_png()),
        comfyui_png()[:-12] + png_chunk(b"tIME") + png_chunk(b"IDAT") + png_chunk(b"IEND"),
        PNG_START + png_chunk(b"IHDR", b"short") + png_chunk(b"IDAT") + png_chunk(b"IEND"),
    ],
)
def test_a_png_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(ImageCorrupt):
        inspect(data, Limits())


def test_a_png_with_an_unknown_critical_chunk_is_refused() -> None:
    with pytest.raises(ImageUnsupported, match="CgBI"):
        inspect(png_with(png_chunk(b"CgBI"), comfyui_png()), Limits())


def test_a_jpeg_that_browsers_cannot_show_is_refused() -> None:
    data = encoded(a_picture(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    with pytest.raises(ImageUnsupported, match="0xc9"):
        inspect(data, Limits())


def test_the_size_is_the_one_a_viewer_shows() -> None:
    data = encoded(a_picture(), "JPEG", exif=exif(orientation=6))
    assert inspect(data, Limits()) == Inspected("image/jpeg", 32, 48)


@every_format
def test_bytes_after_the_end_do_not_refuse_the_image(content_type: str) -> None:
    assert inspect(SAMPLES[content_type] + b"\r\ntrailing", Limits()).width == 48


def refusal(data: bytes) -> BadImage | None:
    limits = Limits(max_pixels=10_000)
    try:
        encode_preview(accept(data, limits).small)
    except BadImage as error:
        return error
    return None


@given(
    st.sampled_from([b"", PNG_START, b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBP", *SAMPLES.values()]),
    st.integers(0, 400),
    st.binary(max_size=200),
)
def test_arbitrary_bytes_raise_nothing_but_bad_image(start: bytes, keep: int, rest: bytes) -> None:
    refused = refusal(start[:keep] + rest + start[keep + len(rest) :])
    assert refused is None or (refused.reason != BadImage.reason and str(refused))
