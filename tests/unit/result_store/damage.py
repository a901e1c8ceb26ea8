"""Damaged images: pixels that cannot be decoded, and sound pixels beside damaged metadata."""

import re
import struct
import zlib
from typing import Any

import pytest

from tests.unit.result_store.pictures import PNG_START, a_picture, encoded, png_chunk, png_with


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
        "jpeg: half of its last scan": progressive[: progressive.rindex(b"\xff\xda") + 12] + b"\xff\xd9",
        "jpeg: one colour of three": _one_scan_of(encoded(a_picture("L"), "JPEG")),
        "jpeg: no tables": _without_tables(jpeg),
        "png: half of its rows, interlaced": _interlaced(bytes(16 * (1 + 48 * 3))),
        "png: palette after the pixels": palette_png(order=(b"IDAT", b"PLTE")),
        "png: two palettes": palette_png(order=(b"PLTE", b"PLTE", b"IDAT")),
        "png: empty palette": palette_png(PLTE=b""),
        "png: palette of 257 colours": palette_png(PLTE=bytes(257 * 3)),
        "png: palette with half a colour": palette_png(PLTE=bytes(100)),
        "png: more colours than the palette has": palette_png(PLTE=bytes(8 * 3)),
        "png: checksum of the palette": palette_png(wrong=b"PLTE"),
        "png: checksum of the transparency": palette_png(order=(b"PLTE", b"tRNS", b"IDAT"), wrong=b"tRNS"),
        "png: name of the transparency": palette_png(order=(b"PLTE", b"tRNS", b"IDAT")).replace(
            b"tRNS", b"tRNs"
        ),
        "png: transparency longer than the palette": palette_png(
            order=(b"PLTE", b"tRNS", b"IDAT"), tRNS=bytes(17)
        ),
        "png: transparency of an RGB picture": png_with(_wrong("tRNS", bytes(6)), png),
        "png: transparency of a wrong length": png_with(png_chunk(b"tRNS", b"x"), png),
        "png: unknown compression": _png_of(zlib.compress(_rows(png)), compression=1),
        "png: unknown filters": _png_of(zlib.compress(_rows(png)), filters=1),
        "png: unknown interlace": _png_of(zlib.compress(_rows(png)), interlace=2),
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
        "acTL": bytes(8),
        "PLTE": bytes(3),
    }
    cases = {f"png: checksum of {kind}": png_with(_wrong(kind, note), png) for kind, note in notes.items()}
    cases |= {
        f"png: {kind} of a wrong length": png_with(png_chunk(kind.encode(), b"x"), png)
        for kind in ("gAMA", "cHRM", "iCCP", "eXIf")
    }
    text = png_chunk(b"tEXt", b"parameters\0SECRET IDAT")
    profile = b"ICCP" + struct.pack("<I", 6) + b"SECRET"
    cases |= {
        f"png: length of a text {size}, {place}": data
        for size in (0, 3, 19, 4_000_000_000)
        for place, data in (
            ("before the pixels", png_with(struct.pack(">I", size) + text[4:], png)),
            ("after the pixels", png[:-12] + struct.pack(">I", size) + text[4:] + png[-12:]),
        )
    }
    cases |= {
        f"png: name {name!r}": png_with(text.replace(b"tEXt", name), png) for name in (b"uEXt", b"TEXt")
    }
    cases |= {
        "png: checksum of the end": png[:-1] + b"?",
        "png: half of the end": png[:-6],
        "png: no end": png[:-12],
        "png: name of the end": png[:-8] + b"IENX" + png[-4:],
        "png: transparency of a picture with alpha": png_with(
            _wrong("tRNS", b"SECRET"), encoded(a_picture("RGBA"), "PNG")
        ),
        "jpeg: no end": jpeg[:-2],
        "jpeg: half of the end": jpeg[:-1],
        "jpeg: no end, progressive": encoded(a_picture(), "JPEG", progressive=True)[:-2],
        **{
            f"jpeg: length of {name} {size}": jpeg[:2]
            + bytes((0xFF, app))
            + size.to_bytes(2)
            + note
            + jpeg[2:]
            for name, app, note in (("Exif", 0xE1, b"Exif\0\0SECRET"), ("comment", 0xFE, b"SECRET"))
            for size in (0, 1, 3, 100, 400, 65_535)
        },
        **{
            f"webp: length of a profile {size}": _webp_with(profile[:4] + struct.pack("<I", size) + b"SECRET")
            for size in (0, 2, 7, 40, 4_000_000_000)
        },
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


def cut_scans() -> list[Any]:
    """Progressive pictures that end after one of their scans, but for the last."""
    data = encoded(a_picture(), "JPEG", progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", data)][1:]
    return [
        pytest.param(data[:at] + end, id=f"{count} of {len(starts) + 1} scans, {name}")
        for count, at in enumerate(starts, 1)
        for name, end in (("ended", b"\xff\xd9"), ("not ended", b""))
    ]


def _png_of(stream: bytes, *, compression: int = 0, filters: int = 0, interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", 48, 32, 8, 2, compression, filters, interlace)
    return PNG_START + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", stream) + png_chunk(b"IEND")


def palette_png(
    order: tuple[bytes, ...] = (b"PLTE", b"IDAT"), wrong: bytes = b"", **payloads: bytes
) -> bytes:
    """A 48x32 picture of indexes 0 to 15, with these chunks in this order, one of a wrong checksum."""
    rows = zlib.compress((b"\0" + bytes(at % 16 for at in range(48))) * 32)
    known = {"PLTE": bytes(range(48)), "tRNS": bytes(16), "IDAT": rows} | payloads
    chunks = [(name, known[name.decode()]) for name in order]
    parts = [_wrong(name.decode(), each) if name == wrong else png_chunk(name, each) for name, each in chunks]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 32, 8, 3, 0, 0, 0))
    return PNG_START + header + b"".join(parts) + png_chunk(b"IEND")


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


def _one_scan_of(grey: bytes) -> bytes:
    """A grey picture whose header announces two more colours, which have no scan."""
    at = grey.index(b"\xff\xc0")
    frame = grey[at + 4 : at + 9] + bytes((3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    return grey[:at] + b"\xff\xc0\0" + bytes([2 + len(frame)]) + frame + grey[at + 13 :]


def _webp_with(profile: bytes) -> bytes:
    """A lossless picture behind this profile, both announced."""
    picture = encoded(a_picture(), "WEBP", lossless=True)[12:]
    canvas = b"VP8X" + struct.pack("<II", 10, 0x20) + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    chunks = canvas + profile + picture
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


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
