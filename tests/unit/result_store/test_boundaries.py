"""Smallest images, zero sizes, and parts of every length."""

import struct

import pytest

from services.result_store.images import BadImage, ImageCorrupt, Inspected, Limits, accept, inspect
from tests.unit.result_store.pictures import PNG_START, a_picture, decoded, encoded, png_chunk, png_with

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
NO_LIMITS = Limits()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_the_smallest_images_are_accepted(kind: str, width: int, height: int) -> None:
    data = encoded(a_picture(width=width, height=height), kind)
    assert inspect(data, NO_LIMITS) == Inspected(KINDS[kind], width, height)
    assert decoded(accept(data, NO_LIMITS).data).size == (width, height)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1)])
def test_the_size_of_a_webp_is_read_from_its_picture(lossless: bool, width: int, height: int) -> None:
    data = encoded(a_picture(width=width, height=height), "WEBP", lossless=lossless)
    assert inspect(data, NO_LIMITS) == Inspected("image/webp", width, height)


@pytest.mark.parametrize("offset", [5, 7], ids=["height", "width"])
def test_a_jpeg_without_lines_or_columns_is_refused(offset: int) -> None:
    data = bytearray(encoded(a_picture(), "JPEG"))
    at = data.index(b"\xff\xc0") + offset
    data[at : at + 2] = b"\0\0"
    with pytest.raises(ImageCorrupt):
        inspect(bytes(data), NO_LIMITS)


@pytest.mark.parametrize("size", [(0, 32), (48, 0)])
def test_a_png_without_lines_or_columns_is_refused(size: tuple[int, int]) -> None:
    whole = encoded(a_picture(), "PNG")
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    with pytest.raises(ImageCorrupt):
        inspect(PNG_START + header + whole[33:], NO_LIMITS)


@pytest.mark.parametrize("length", range(1, 10))
def test_a_note_of_any_length_is_removed(length: int) -> None:
    note = bytes(range(65, 65 + length))
    plain = {kind: encoded(a_picture(), kind) for kind in KINDS}
    webp = encoded(a_picture(), "WEBP", xmp=note)
    jpeg = plain["JPEG"][:2] + b"\xff\xfe" + struct.pack(">H", 2 + length) + note + plain["JPEG"][2:]
    assert accept(png_with(png_chunk(b"tEXt", note), plain["PNG"]), NO_LIMITS).data == plain["PNG"]
    assert accept(jpeg, NO_LIMITS).data == accept(plain["JPEG"], NO_LIMITS).data
    cleaned = accept(webp, NO_LIMITS).data
    assert note not in cleaned
    assert decoded(cleaned).tobytes() == decoded(webp).tobytes()


@pytest.mark.parametrize("length", range(1, 10))
def test_a_webp_note_before_the_picture_may_have_any_length(length: int) -> None:
    picture = encoded(a_picture(), "WEBP", lossless=True)[12:]
    note = b"EXIF" + struct.pack("<I", length) + bytes(length) + bytes(length % 2)
    canvas = b"VP8X" + struct.pack("<II", 10, 0x08) + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    chunks = canvas + note + picture
    data = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    assert note not in accept(data, NO_LIMITS).data


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_webp_whose_chunk_header_is_cut_off_is_refused(missing: int) -> None:
    head = b"RIFF" + struct.pack("<I", 4 + 8 - missing) + b"WEBP" + b"VP8 \1\0\0\0"[: 8 - missing]
    with pytest.raises(BadImage):
        inspect(head, NO_LIMITS)
