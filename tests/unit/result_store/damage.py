"""Damaged images: pixels that cannot be decoded, and sound pixels beside damaged metadata."""

import struct
import zlib
from typing import Any

import pytest

from tests.unit.result_store.pictures import PNG_START, a_picture, encoded, png_chunk, png_header, png_with


def broken_pixels() -> list[Any]:
    """48x32 images in every format that are whole as files, and whose pixels cannot be decoded."""
    png, jpeg = encoded(a_picture(), "PNG"), encoded(a_picture(), "JPEG")
    progressive = encoded(a_picture(), "JPEG", progressive=True)
    cases = {
        "png: no deflate stream": _png_of(b"\x78\x9cno deflate stream"),
        "png: no pixels": _png_of(zlib.compress(b"")),
        "png: half of its rows": _png_of(zlib.compress(bytes(16 * (1 + 48 * 3)))),
        "png: cut stream": _png_of(zlib.compress(_rows(png))[:-40]),
        "png: unknown filter": _png_of(zlib.compress(bytes([9]) + bytes(32 * (1 + 48 * 3) - 1))),
        "jpeg: half of its scan": jpeg[: len(jpeg) - 150] + b"\xff\xd9",
        "jpeg: no scan data": jpeg[: jpeg.index(b"\xff\xda") + 14] + b"\xff\xd9",
        "jpeg: half of its scans": progressive[: progressive.rindex(b"\xff\xda") + 12] + b"\xff\xd9",
        "jpeg: no tables": _without_tables(jpeg),
        "png: half of its rows, interlaced": _interlaced(bytes(16 * (1 + 48 * 3))),
        "webp: half": _webp_cut(encoded(a_picture(), "WEBP")),
        "webp: half, lossless": _webp_cut(encoded(a_picture(), "WEBP", lossless=True)),
    }
    return [pytest.param(data, id=name) for name, data in cases.items()]


def with_broken_notes() -> list[Any]:
    """Sound 48x32 images with something wrong in a part that draws nothing."""
    png, jpeg = encoded(a_picture(), "PNG"), encoded(a_picture(), "JPEG")
    webp = encoded(a_picture(), "WEBP", exif=b"Exif\0\0SECRET", xmp=b"SECRET")
    notes = {
        "tEXt": b"parameters\0SECRET",
        "zTXt": b"k\0\0SECRET",
        "eXIf": b"MM\0*SECRET",
        "iCCP": b"x\0\0" + zlib.compress(b"SECRET"),
        "tIME": b"SECRET",
        "gAMA": b"\0\0\0\1",
        "tRNS": bytes(6),
        "acTL": bytes(8),
    }
    cases = {f"png: checksum of {kind}": png_with(_wrong(kind, note), png) for kind, note in notes.items()}
    cases |= {
        f"png: {kind} of a wrong length": png_with(png_chunk(kind.encode(), b"x"), png)
        for kind in ("gAMA", "cHRM", "iCCP", "tRNS", "eXIf")
    }
    cases |= {
        "png: profile that does not unpack": png_with(png_chunk(b"iCCP", b"x\0\0SECRET"), png),
        "png: profile of 50 MB": png_with(
            png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))), png
        ),
        "png: checksum after the pixels": png[:-12] + _wrong("tEXt", b"k\0SECRET") + png[-12:],
        "jpeg: nonsense in Exif": _segment(jpeg, 0xE1, b"Exif\0\0II*\0\xff\xff\xff\xffSECRET"),
        "jpeg: profile without parts": _segment(jpeg, 0xE2, b"ICC_PROFILE\0"),
        "jpeg: short JFIF": _segment(jpeg, 0xE0, b"JFIF\0"),
        "jpeg: Exif longer than it says": _segment(jpeg, 0xE1, b"Exif\0\0")[:12] + b"SECRET" + jpeg[2:],
        "jpeg: comment longer than it says": jpeg[:2] + b"\xff\xfe\0\4ab SECRET" + jpeg[2:],
        "webp: Exif is nonsense": webp,
        "webp: last chunk longer than the file": _webp_longer_last(webp),
    }
    return [pytest.param(data, id=name) for name, data in cases.items()]


def _png_of(stream: bytes) -> bytes:
    return PNG_START + png_header(48, 32) + png_chunk(b"IDAT", stream) + png_chunk(b"IEND")


def _interlaced(rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 48, 32, 8, 2, 0, 0, 1)
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return PNG_START + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND")


def _rows(png: bytes) -> bytes:
    start = png.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", png[start - 8 : start - 4])
    return zlib.decompress(png[start : start + length])


def _wrong(kind: str, payload: bytes) -> bytes:
    chunk = png_chunk(kind.encode(), payload)
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def _segment(jpeg: bytes, app: int, payload: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, app]) + (2 + len(payload)).to_bytes(2) + payload + jpeg[2:]


def _without_tables(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xdb")
    length = int.from_bytes(jpeg[at + 2 : at + 4])
    return jpeg[:at] + jpeg[at + 2 + length :]


def _webp_cut(webp: bytes) -> bytes:
    """Half of the picture's data, with lengths that agree."""
    (size,) = struct.unpack_from("<I", webp, 16)
    half = size // 4 * 2
    return (
        b"RIFF"
        + struct.pack("<I", 12 + half)
        + b"WEBP"
        + webp[12:16]
        + struct.pack("<I", half)
        + webp[20 : 20 + half]
    )


def _webp_longer_last(webp: bytes) -> bytes:
    at = webp.index(b"XMP ")
    return webp[: at + 4] + struct.pack("<I", 1_000_000) + webp[at + 8 :]
