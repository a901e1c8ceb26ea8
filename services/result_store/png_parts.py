"""The chunks of a PNG file."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from services.result_store.bad_images import ImageCorrupt, ImageUnsupported
from services.result_store.parts import MAX_PARTS, PNG, Anatomy

PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_CLEAR: Final = {0: (2,), 2: (6,), 3: range(1, 257)}
"""Lengths of tRNS, the transparency, by the colour types that have one."""
_PALETTES: Final = range(3, 3 * 256 + 1, 3)
_SIZES: Final = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MOST_PROFILE_BYTES = 1024 * 1024
_NAMES: Final = re.compile(rb"IDAT|PLTE|IEND|tRNS|iCCP|sRGB|gAMA|cHRM|eXIf")
_MOST_SEARCHED: Final = 16
"""Limit on the positions tried as the next chunk after one of a wrong length; each may cost a checksum."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk with its length, name and checksum. `sound`: the checksum is right."""

    name: bytes
    whole: memoryview
    sound: bool

    @property
    def payload(self) -> memoryview:
        return self.whole[8:-4]


def png(view: memoryview) -> Anatomy:
    """Walk the chunks of a PNG; see `formats.anatomy`."""
    chunks = list(_chunks(view))
    width, height, colour = _header(chunks[0])
    drawing = _drawing(colour)
    if bad := next((chunk for chunk in chunks if not chunk.sound and _may_be(chunk, drawing)), None):
        raise ImageCorrupt(f"PNG damaged: wrong checksum of {bad.name!r}")
    sound = [chunk for chunk in chunks if chunk.sound]
    names = [chunk.name for chunk in sound]
    if b"acTL" in names:
        raise ImageUnsupported("animated PNG; only still images are stored")
    if strange := [name for name in names if _is_critical(name) and name not in _CRITICAL]:
        raise ImageUnsupported(f"PNG with the unknown critical chunk {strange[0]!r}")
    _check_order(names, drawing)
    _check_colours(sound, colour)
    kept: list[memoryview | bytes] = [
        view[:8],
        *(chunk.whole for chunk in sound if _keeps(chunk, drawing)),
        _END,
    ]
    exif = next((bytes(chunk.payload) for chunk in sound if chunk.name == b"eXIf"), b"")
    return Anatomy(PNG, width, height, kept, exif)


def _chunks(view: memoryview) -> Iterator[Chunk]:
    """Yield the chunks up to the last, damaged ones too."""
    at, searched, has_pixels = len(PNG_START), 0, False
    for _ in range(MAX_PARTS):
        if at + 12 > len(view) and has_pixels:
            return  # the mark of the end is cut off
        chunk = _chunk_at(view, at)
        yield chunk
        if chunk.name == b"IEND":
            return
        has_pixels = has_pixels or chunk.name == b"IDAT"
        end = at + 12 + int.from_bytes(view[at : at + 4])
        if not chunk.sound and not _begins_at(view, end):
            found, tried = _next_sound(view, at + 8, _MOST_SEARCHED - searched)
            searched += tried
            end = found if found is not None else end
        if end > len(view) and not (has_pixels and chunk.name not in _CRITICAL):
            raise ImageCorrupt(f"PNG cut off after {len(view)} bytes, within {chunk.name!r}")
        at = end
    raise ImageCorrupt(f"PNG of more than {MAX_PARTS} chunks")


def _chunk_at(view: memoryview, at: int) -> Chunk:
    size, name = struct.unpack_from(">I4s", view, at)
    whole = view[at : at + 12 + size]
    is_whole = len(whole) == 12 + size
    return Chunk(name, whole, is_whole and zlib.crc32(whole[4:-4]) == int.from_bytes(whole[-4:]))


def _begins_at(view: memoryview, at: int) -> bool:
    """Return whether a chunk begins there, by its name or its checksum."""
    if at + 12 > len(view):
        return at == len(view)
    name = bytes(view[at + 4 : at + 8])
    return _NAMES.fullmatch(name) is not None or _chunk_at(view, at).sound


def _next_sound(view: memoryview, start: int, most: int) -> tuple[int | None, int]:
    """Find the first sound chunk of a known name behind `start`; also return how many were tried."""
    tried = 0
    for found in _NAMES.finditer(view, start + 4):
        if tried >= most:
            break
        tried += 1
        at = found.start() - 4
        if at + 12 <= len(view) and _chunk_at(view, at).sound:
            return at, tried
    return None, tried


def _header(chunk: Chunk) -> tuple[int, int, int]:
    """Check the header; return width, height and colour type."""
    if chunk.name != b"IHDR" or not chunk.sound:
        raise ImageCorrupt(f"PNG that begins with a damaged header or with {chunk.name!r}")
    width, height, depth, colour, packing, filters, interlace = struct.unpack(">IIBBBBB", chunk.payload)
    if 0 in (width, height) or depth not in _DEPTHS.get(colour, ()):
        raise ImageCorrupt(f"PNG of {width}x{height} pixels, depth {depth}, colour {colour}")
    if (packing, filters) != (0, 0) or interlace > 1:
        raise ImageCorrupt(f"PNG with compression {packing}, filter {filters}, interlace {interlace}")
    return width, height, colour


def _drawing(colour: int) -> frozenset[bytes]:
    """Return the names of the chunks that draw: a palette is only a suggestion unless pixels are indexes."""
    palette = {b"PLTE"} if colour == 3 else set()
    return frozenset({b"IHDR", b"IDAT"} | palette | ({b"tRNS"} if colour in _CLEAR else set()))


def _may_be(chunk: Chunk, names: frozenset[bytes]) -> bool:
    """Return whether a damaged chunk has one of these names, or had it before the name was damaged."""
    if chunk.name in names:
        return True
    stored = int.from_bytes(chunk.whole[-4:])
    return any(zlib.crc32(chunk.payload, zlib.crc32(name)) == stored for name in names)


def _check_order(names: list[bytes], drawing: frozenset[bytes]) -> None:
    """Check that each part that draws is there once, and in front of the pixels, which are in one run."""
    drawn = [name for name, _ in groupby(name for name in names if name in drawing)]
    runs = [name for name, _ in groupby(name for name in names if name != b"IEND")]
    order = [name for name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") if name in drawn or name == b"IDAT"]
    doubled = any(names.count(name) > 1 for name in drawing - {b"IDAT"})
    if drawn != order or doubled or runs.count(b"IDAT") != 1 or (b"PLTE" in drawing) != (b"PLTE" in drawn):
        raise ImageCorrupt("PNG with chunks missing, doubled or out of order")


def _check_colours(chunks: list[Chunk], colour: int) -> None:
    """Check the lengths of the palette and of the transparency."""
    sizes = {chunk.name: len(chunk.payload) for chunk in chunks}
    palette = sizes.get(b"PLTE", 0)
    if colour == 3 and palette not in _PALETTES:
        raise ImageCorrupt(f"PNG with a palette of {palette} bytes")
    clear = sizes.get(b"tRNS")
    if clear is None or colour not in _CLEAR:
        return
    if clear not in _CLEAR[colour] or (colour == 3 and clear > palette // 3):
        raise ImageCorrupt(f"PNG with a transparency of {clear} bytes")


def _is_critical(name: bytes) -> bool:
    """Return whether a PNG chunk is needed to draw the picture: its name begins with a capital letter."""
    return not name[0] & 0x20


def _keeps(chunk: Chunk, drawing: frozenset[bytes]) -> bool:
    """Return whether a chunk stays: those that draw, and well-formed ones about colour."""
    if chunk.name == b"iCCP":
        return _is_profile(bytes(chunk.payload))
    return chunk.name in drawing or _SIZES.get(chunk.name) == len(chunk.payload)


def _is_profile(payload: bytes) -> bool:
    """Return whether a compressed colour profile can be unpacked, to at most a megabyte."""
    name, _, packed = payload.partition(b"\0")
    if not 0 < len(name) < 80 or packed[:1] != b"\0":
        return False
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacker.eof
