"""The parts of PNG, JPEG and WebP files, walked from first byte to last without decoding pixels.

Parts that draw nothing and are removed anyway may be damaged; parts that draw may not.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from services.result_store.bad_images import ImageCorrupt, ImageUnsupported, NotAnImage

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
WEBP: Final = "image/webp"

_MAX_PARTS = 100_000  # real files have hundreds; a file of empty parts would only burn time
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_PNG_SIZES = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_PNG_CLEAR = {0: (2,), 2: (6,), 3: range(1, 257)}  # lengths of tRNS by colour type
_MOST_PROFILE_BYTES = 1024 * 1024
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_DRAWN = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_JPEG_END, _JPEG_SCAN, _JPEG_EXIF = 0xD9, 0xDA, 0xE1
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # have no length, belong inside a scan
_JPEG_KEPT = frozenset({*range(0xC0, 0xD0), *range(0xD9, 0xDE)})  # frame, tables, scans, end
_JPEG_APPS = {0xE0: (b"JFIF\0", 18), 0xE2: (b"ICC_PROFILE\0", 19), 0xEE: (b"Adobe", 16)}  # with least length
_JPEG_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})  # application segments and comments
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_SCAN_STOP = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_WEBP_KEPT = frozenset({b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L"})
_WEBP_ANIMATED, _WEBP_EXIF_AND_XMP = 0x02, 0x0C


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What an image is made of. `kept`, joined, is the same picture without metadata."""

    content_type: str
    width: int
    height: int
    kept: Sequence[memoryview | bytes]
    exif: bytes = b""


def anatomy(data: bytes) -> Anatomy:
    """Recognise an image by its first bytes and walk its parts up to its end.

    Raises:
        NotAnImage: it is none of the three formats.
        ImageCorrupt: it is cut off, or a part that is needed to draw it is damaged.
        ImageUnsupported: it is animated, or coded in a way that browsers cannot show.
    """
    try:
        if data.startswith(_PNG_START):
            return _png(memoryview(data))
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(memoryview(data))
    except struct.error:
        raise ImageCorrupt("a header is not as long as its format demands") from None
    if not data:
        raise NotAnImage("there are no bytes at all")
    raise NotAnImage(f"neither PNG, JPEG nor WebP: it begins with {data[:16]!r}")


def _png(view: memoryview) -> Anatomy:
    chunks = list(_png_chunks(view))
    kinds = [kind for kind, _ in chunks]
    if b"acTL" in kinds:
        raise ImageUnsupported("animated PNG; only still images are stored")
    if strange := [kind for kind in kinds if _is_critical(kind) and kind not in _PNG_NEEDED]:
        raise ImageUnsupported(f"PNG with the unknown critical chunk {strange[0]!r}")
    width, height, depth, colour = struct.unpack(">8xIIBB7x", chunks[0][1])
    if 0 in (width, height) or depth not in _PNG_DEPTHS.get(colour, ()):
        raise ImageCorrupt(f"PNG of {width}x{height} pixels, depth {depth}, colour {colour}")
    runs = [kind for kind, _ in groupby(kinds)]  # chunks of pixels must follow one another
    if runs[0] != b"IHDR" or kinds.count(b"IHDR") > 1 or runs.count(b"IDAT") != 1:
        raise ImageCorrupt("PNG with chunks missing, doubled or out of order")
    if colour == 3 and b"PLTE" not in kinds:
        raise ImageCorrupt("PNG without its palette")
    kept = [view[:8], *(chunk for kind, chunk in chunks if _png_keeps(kind, chunk, colour))]
    exif = next((bytes(chunk[8:-4]) for kind, chunk in chunks if kind == b"eXIf"), b"")
    return Anatomy(PNG, width, height, kept, exif)


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the intact chunks: a damaged one is an error if it is critical, and left out if not."""
    at = len(_PNG_START)
    for _ in range(_MAX_PARTS):
        size, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + size
        if end > len(view):
            raise ImageCorrupt(f"PNG cut off after {len(view)} bytes, within {kind!r}")
        if zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end]):
            yield kind, view[at:end]
        elif _is_critical(kind):
            raise ImageCorrupt(f"PNG damaged: wrong checksum of {kind!r} at byte {at}")
        if kind == b"IEND":
            return
        at = end
    raise ImageCorrupt(f"PNG of more than {_MAX_PARTS} chunks")


def _is_critical(kind: bytes) -> bool:
    """Whether a PNG chunk is needed to draw the picture: its name begins with a capital letter."""
    return not kind[0] & 0x20


def _png_keeps(kind: bytes, chunk: memoryview, colour: int) -> bool:
    """Whether a chunk stays: the needed ones, and well-formed ones about colour and transparency."""
    payload = chunk[8:-4]
    if kind == b"tRNS":
        return len(payload) in _PNG_CLEAR.get(colour, ())
    if kind == b"iCCP":
        return _is_profile(bytes(payload))
    return kind in _PNG_NEEDED or _PNG_SIZES.get(kind) == len(payload)


def _is_profile(payload: bytes) -> bool:
    """Whether a compressed colour profile can be unpacked, to at most a megabyte."""
    name, _, packed = payload.partition(b"\0")
    if not 0 < len(name) < 80 or packed[:1] != b"\0":
        return False
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacker.eof


def _jpeg(data: bytes) -> Anatomy:
    segments = list(_jpeg_segments(data))
    codes = [code for code, _ in segments]
    frames = [segment for code, segment in segments if code in _JPEG_FRAMES]
    if len(frames) != 1 or _JPEG_SCAN not in codes:
        raise ImageCorrupt(f"JPEG with {len(frames)} frames and {codes.count(_JPEG_SCAN)} scans")
    code, precision, height, width = struct.unpack_from(">xBxxBHH", frames[0])
    if code not in _JPEG_DRAWN or precision != 8:
        raise ImageUnsupported(f"JPEG of the kind {code:#x} with {precision} bits a sample")
    if 0 in (width, height):
        raise ImageCorrupt(f"JPEG of {width}x{height} pixels")
    start = memoryview(data)[:2]
    kept = [start, *(segment for code, segment in segments if _jpeg_keeps(code, segment))]
    payloads = (bytes(segment[4:]) for code, segment in segments if code == _JPEG_EXIF)
    exif = next((payload for payload in payloads if payload.startswith(b"Exif\0\0")), b"")
    return Anatomy(JPEG, width, height, kept, exif)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield the segments. After a note of the wrong length the next marker is looked for."""
    view, at, code = memoryview(data), 2, 0
    for _ in range(_MAX_PARTS):
        find = _JPEG_MARKER.search if code in _JPEG_NOTES else _JPEG_MARKER.match
        if (marker := find(data, at)) is None:
            raise ImageCorrupt(f"JPEG cut off or damaged at byte {at} of {len(data)}")
        code, start = marker[1][0], marker.end()
        if code == _JPEG_END:
            yield code, view[start - 2 : start]
            return
        (size,) = struct.unpack_from(">H", data, start)
        if code in _JPEG_BARE or size < 2:
            raise ImageCorrupt(f"JPEG with a misplaced marker {code:#x} at byte {at}")
        end = start + size
        if code == _JPEG_SCAN and (stop := _JPEG_SCAN_STOP.search(data, end)):
            end = stop.start()
        yield code, view[start - 2 : end]
        at = end
    raise ImageCorrupt(f"JPEG of more than {_MAX_PARTS} segments")


def _jpeg_keeps(code: int, segment: memoryview) -> bool:
    if code in _JPEG_APPS:
        start, least = _JPEG_APPS[code]
        return segment[4 : 4 + len(start)] == start and len(segment) >= least
    return code in _JPEG_KEPT


def _webp(view: memoryview) -> Anatomy:
    chunks = list(_webp_chunks(view))
    canvas = next((chunk for kind, chunk in chunks if kind == b"VP8X"), None)
    if {b"ANIM", b"ANMF"} & {kind for kind, _ in chunks} or (canvas and canvas[8] & _WEBP_ANIMATED):
        raise ImageUnsupported("animated WebP; only still images are stored")
    pictures = [_webp_size(kind, chunk) for kind, chunk in chunks if kind in (b"VP8 ", b"VP8L")]
    if len(pictures) != 1 or 0 in pictures[0]:
        raise ImageCorrupt(f"WebP with {len(pictures)} pictures: {pictures[:2]}")
    if canvas and pictures[0] != (announced := _webp_canvas(canvas)):
        raise ImageCorrupt(f"WebP announced as {announced} pixels, it has {pictures[0]}")
    kept = [_webp_clean(kind, chunk) for kind, chunk in chunks if kind in _WEBP_KEPT]
    length = struct.pack("<I", 4 + sum(map(len, kept)))
    exif = next((bytes(chunk[8:]) for kind, chunk in chunks if kind == b"EXIF"), b"")
    return Anatomy(WEBP, *pictures[0], [b"RIFF", length, b"WEBP", *kept], exif)


def _webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks. One that draws nothing and is longer than what is left of the file ends them."""
    (length,) = struct.unpack_from("<I", view, 4)
    if 8 + length > len(view):
        raise ImageCorrupt(f"WebP cut off: {len(view)} bytes of {8 + length}")
    view, at, drawn = view[: 8 + length], 12, False
    for _ in range(_MAX_PARTS):
        if at >= len(view):
            return
        if drawn and at + 8 > len(view):
            return
        kind, size = struct.unpack_from("<4sI", view, at)
        if at + 8 + size > len(view):
            if drawn and kind not in _WEBP_KEPT:
                return
            raise ImageCorrupt(f"WebP damaged: {kind!r} at byte {at} ends after the file")
        yield kind, view[at : at + 8 + size]
        drawn = drawn or kind in (b"VP8 ", b"VP8L")
        at += 8 + size + size % 2
    raise ImageCorrupt(f"WebP of more than {_MAX_PARTS} chunks")


def _webp_size(kind: bytes, chunk: memoryview) -> tuple[int, int]:
    if kind == b"VP8L":
        mark, bits = struct.unpack_from("<8xBI", chunk)
        if mark == 0x2F:
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        tag, mark, width, height = struct.unpack_from("<8xB2x3sHH", chunk)
        if mark == b"\x9d\x01\x2a" and not tag & 1:  # this bit: it builds on an earlier frame
            return width & 0x3FFF, height & 0x3FFF
    raise ImageCorrupt(f"WebP damaged: {kind!r} does not begin as one")


def _webp_canvas(chunk: memoryview) -> tuple[int, int]:
    width, height = struct.unpack_from("<12x3s3s", chunk)
    return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1


def _webp_clean(kind: bytes, chunk: memoryview) -> bytes:
    clean = bytearray(chunk)
    if kind == b"VP8X":
        clean[8] &= ~_WEBP_EXIF_AND_XMP
    return bytes(clean) + bytes(len(clean) % 2)
