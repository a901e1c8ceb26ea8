"""The chunks of a WebP file."""

import re
import struct
from collections.abc import Iterator
from typing import Final

from services.result_store.bad_images import ImageCorrupt, ImageUnsupported
from services.result_store.parts import MAX_PARTS, WEBP, Anatomy

_KEPT: Final = frozenset({b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L"})
_PICTURES: Final = frozenset({b"VP8 ", b"VP8L"})
_NOTES: Final = frozenset({b"ICCP", b"EXIF", b"XMP "})
_NAMES: Final = _KEPT | _NOTES | {b"ANIM", b"ANMF"}
_AFTER_NOTES: Final = re.compile(rb"ALPH|VP8 |VP8L")
_ANIMATED, _EXIF_AND_XMP, _PROFILE = 0x02, 0x0C, 0x20


def webp(view: memoryview) -> Anatomy:
    """Walk the chunks of a WebP; see `formats.anatomy`."""
    chunks = list(_chunks(view))
    canvas = next((chunk for kind, chunk in chunks if kind == b"VP8X"), None)
    if {b"ANIM", b"ANMF"} & {kind for kind, _ in chunks} or (canvas and canvas[8] & _ANIMATED):
        raise ImageUnsupported("animated WebP; only still images are stored")
    pictures = [_size(kind, chunk) for kind, chunk in chunks if kind in _PICTURES]
    if len(pictures) != 1 or 0 in pictures[0]:
        raise ImageCorrupt(f"WebP with {len(pictures)} pictures: {pictures[:2]}")
    if canvas and pictures[0] != (announced := _canvas(canvas)):
        raise ImageCorrupt(f"WebP announced as {announced} pixels, it has {pictures[0]}")
    has_profile = any(kind == b"ICCP" for kind, _ in chunks)
    kept = [_clean(kind, chunk, has_profile) for kind, chunk in chunks if kind in _KEPT]
    length = struct.pack("<I", 4 + sum(map(len, kept)))
    exif = next((bytes(chunk[8:]) for kind, chunk in chunks if kind == b"EXIF"), b"")
    return Anatomy(WEBP, *pictures[0], [b"RIFF", length, b"WEBP", *kept], exif)


def _chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks.

    A note whose length leads to no chunk is left out, and the picture is looked for inside it. One that
    is longer than what is left of the file ends the chunks when the picture is there.
    """
    (length,) = struct.unpack_from("<I", view, 4)
    if 8 + length > len(view):
        raise ImageCorrupt(f"WebP cut off: {len(view)} bytes of {8 + length}")
    view, at, drawn = view[: 8 + length], 12, False
    for _ in range(MAX_PARTS):
        if at >= len(view) or (drawn and at + 8 > len(view)):
            return
        name, size = struct.unpack_from("<4sI", view, at)
        end = at + 8 + size
        if not drawn and name in _NOTES and not _begins_at(view, end + size % 2):
            at = _picture_after(view, at + 8)
            continue
        if end > len(view):
            if drawn and name not in _KEPT:
                return
            raise ImageCorrupt(f"WebP damaged: {name!r} at byte {at} ends after the file")
        yield name, view[at:end]
        drawn = drawn or name in _PICTURES
        at = end + size % 2
    raise ImageCorrupt(f"WebP of more than {MAX_PARTS} chunks")


def _begins_at(view: memoryview, at: int) -> bool:
    """Return whether a chunk begins there: its name has four letters, and it ends within the file."""
    if at + 8 > len(view):
        return False
    name, size = struct.unpack_from("<4sI", view, at)
    return at + 8 + size <= len(view) and (name in _NAMES or name.isalnum())


def _picture_after(view: memoryview, start: int) -> int:
    """Find the first place from which the picture's chunks reach to its end."""
    for found in _AFTER_NOTES.finditer(view, start):
        at = found.start()
        if not _begins_at(view, at):
            continue
        name, size = struct.unpack_from("<4sI", view, at)
        if name == b"ALPH" and not _begins_at(view, at + 8 + size + size % 2):
            continue
        return at
    raise ImageCorrupt("WebP damaged: no picture after a part of a wrong length")


def _size(kind: bytes, chunk: memoryview) -> tuple[int, int]:
    if kind == b"VP8L":
        mark, bits = struct.unpack_from("<8xBI", chunk)
        if mark == 0x2F:
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        tag, mark, width, height = struct.unpack_from("<8xB2x3sHH", chunk)
        if mark == b"\x9d\x01\x2a" and not tag & 1:  # this bit: it builds on an earlier frame
            return width & 0x3FFF, height & 0x3FFF
    raise ImageCorrupt(f"WebP damaged: {kind!r} does not begin as one")


def _canvas(chunk: memoryview) -> tuple[int, int]:
    width, height = struct.unpack_from("<12x3s3s", chunk)
    return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1


def _clean(kind: bytes, chunk: memoryview, has_profile: bool) -> bytes:
    clean = bytearray(chunk)
    if kind == b"VP8X":
        clean[8] &= ~(_EXIF_AND_XMP if has_profile else _EXIF_AND_XMP | _PROFILE)
    return bytes(clean) + bytes(len(clean) % 2)
