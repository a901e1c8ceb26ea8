"""The segments of a JPEG file."""

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from services.result_store.bad_images import ImageCorrupt, ImageUnsupported
from services.result_store.parts import JPEG, MAX_PARTS, Anatomy

JPEG_START: Final = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_DRAWN = frozenset({0xC0, 0xC1, _PROGRESSIVE})  # the others: baseline, extended
_END, _SCAN, _EXIF = 0xD9, 0xDA, 0xE1
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # have no length, belong inside a scan
_KEPT = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xDE)})  # frame, tables, scans
_APPS = {0xE0: (b"JFIF\0", 18), 0xE2: (b"ICC_PROFILE\0", 19), 0xEE: (b"Adobe", 16)}  # with least length
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})  # application segments and comments
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SCAN_STOP = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_COEFFICIENTS = 64

Segment = tuple[int, memoryview]


def jpeg(data: bytes) -> Anatomy:
    """Walk the segments of a JPEG; see `formats.anatomy`.

    A note whose length leads to no marker may have swallowed what follows it, or be longer than it says:
    the next segment is looked for inside it, and if that leads nowhere behind it.
    """
    try:
        return _anatomy(data, list(_segments(data, inside=True)))
    except (ImageCorrupt, struct.error) as error:
        try:
            return _anatomy(data, list(_segments(data, inside=False)))
        except (ImageCorrupt, ImageUnsupported, struct.error):
            raise error from None


def _anatomy(data: bytes, segments: Sequence[Segment]) -> Anatomy:
    frames = [segment for code, segment in segments if code in _FRAMES]
    scans = [segment for code, segment in segments if code == _SCAN]
    if len(frames) != 1 or not scans:
        raise ImageCorrupt(f"JPEG with {len(frames)} frames and {len(scans)} scans")
    code, precision, height, width = struct.unpack_from(">xBxxBHH", frames[0])
    if code not in _DRAWN or precision != 8:
        raise ImageUnsupported(f"JPEG of the kind {code:#x} with {precision} bits a sample")
    if 0 in (width, height):
        raise ImageCorrupt(f"JPEG of {width}x{height} pixels")
    _check_scans(frames[0], scans)
    start = memoryview(data)[:2]
    kept: list[memoryview | bytes] = [
        start,
        *(segment for code, segment in segments if _keeps(code, segment)),
        b"\xff\xd9",
    ]
    payloads = (bytes(segment[4:]) for code, segment in segments if code == _EXIF)
    exif = next((payload for payload in payloads if payload.startswith(b"Exif\0\0")), b"")
    return Anatomy(JPEG, width, height, kept, exif)


def _segments(data: bytes, *, inside: bool) -> Iterator[Segment]:
    """Yield the segments. After a note of a wrong length, look for the next marker inside or behind it."""
    view, at, code = memoryview(data), 2, 0
    for _ in range(MAX_PARTS):
        find = _MARKER.search if code in _NOTES else _MARKER.match
        marker = find(data, at)
        if marker is None and code == _SCAN:
            return  # the mark of the end is cut off
        if marker is None:
            raise ImageCorrupt(f"JPEG cut off or damaged at byte {at} of {len(data)}")
        code, start = marker[1][0], marker.end()
        if code == _END:
            return
        (size,) = struct.unpack_from(">H", data, start)
        if code in _BARE or (size < 2 and code not in _NOTES):
            raise ImageCorrupt(f"JPEG with a misplaced marker {code:#x} at byte {at}")
        end = start + size
        if code in _NOTES and inside and _MARKER.match(data, end) is None:
            end = start + 2
        elif code == _SCAN:
            stop = _SCAN_STOP.search(data, end)
            end = stop.start() if stop else len(data.rstrip(b"\xff"))
        if end > len(data):
            raise ImageCorrupt(f"JPEG cut off within the segment {code:#x} at byte {at}")
        yield code, view[start - 2 : end]
        at = max(end, start + 2)
    raise ImageCorrupt(f"JPEG of more than {MAX_PARTS} segments")


def _check_scans(frame: memoryview, scans: Sequence[memoryview]) -> None:
    """Check that the scans hold all of the picture: every component, and in all of its precision.

    Decoders take a progressive picture for whole after any of its scans, and show it blurred.

    Raises:
        ImageCorrupt: a scan is missing.
    """
    (count,) = struct.unpack_from(">9xB", frame)
    components = {ident: [-1] * _COEFFICIENTS for (ident,) in _each(frame, 10, count, ">Bxx")}
    for scan in scans:
        (chosen,) = struct.unpack_from(">4xB", scan)
        first, last, bits = struct.unpack_from(">BBB", scan, 5 + 2 * chosen)
        if frame[1] != _PROGRESSIVE:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for (ident,) in _each(scan, 5, chosen, ">Bx"):
            if ident not in components or last >= _COEFFICIENTS:
                raise ImageCorrupt(f"JPEG with a scan of the component {ident} up to {last}")
            for at in range(first, last + 1):
                components[ident][at] = bits & 15
    if any(any(lacking) for lacking in components.values()):
        raise ImageCorrupt(f"JPEG with scans missing: there are {len(scans)}, which do not hold all of it")


def _each(view: memoryview, start: int, count: int, form: str) -> Iterator[tuple[int]]:
    size = struct.calcsize(form)
    for at in range(start, start + count * size, size):
        yield struct.unpack_from(form, view, at)


def _keeps(code: int, segment: memoryview) -> bool:
    if code in _APPS:
        start, least = _APPS[code]
        return segment[4 : 4 + len(start)] == start and len(segment) >= least
    return code in _KEPT
