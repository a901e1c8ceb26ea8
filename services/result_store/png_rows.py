"""Checks of a decoded PNG: all of its rows, and colours for all of its pixels.

Decoders stop at the end of the compressed stream and leave missing rows black, without an error.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL.PngImagePlugin import PngImageFile

from services.result_store.bad_images import ImageCorrupt

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES: Final = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
"""Passes of an interlaced PNG: first column and row, and the steps from there."""
_PIECE_BYTES: Final = 1024 * 1024


def check_rows(clean: bytes, picture: PngImageFile) -> None:
    """Check a decoded PNG for missing rows.

    Rows that are missing are blank, so only a picture with a blank last row is unpacked to be counted,
    and every interlaced one, where the last row is not written last.

    Raises:
        ImageCorrupt: there are fewer pixels than the header says.
    """
    width, height, depth, colour, interlaced = struct.unpack_from(">IIBBxxB", clean, 16)
    if not interlaced and any(picture.crop((0, height - 1, width, height)).tobytes()):
        return
    pixels = _PASSES if interlaced else ((0, 0, 1, 1),)
    needed = 0
    for left, top, across, down in pixels:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            needed += rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)
    found = 0
    for size in _unpacked(clean):
        found += size
        if found >= needed:
            return
    raise ImageCorrupt(f"PNG with {found:,} bytes of rows instead of {needed:,}")


def check_palette(picture: PngImageFile) -> None:
    """Check that each pixel of a picture with a palette has a colour in it.

    Raises:
        ImageCorrupt: a pixel has none. Viewers differ in what they show there.
    """
    if picture.mode != "P" or picture.palette is None:
        return
    colours = len(picture.palette.palette) // 3
    highest = picture.getextrema()[1]
    if isinstance(highest, int | float) and highest >= colours:
        raise ImageCorrupt(f"PNG with the colour {highest:.0f} of a palette of {colours}")


def _unpacked(clean: bytes) -> Iterator[int]:
    """Yield the sizes of the pieces that the chunks of pixels unpack to."""
    unpacker, at = zlib.decompressobj(), 8
    while at < len(clean):
        size, kind = struct.unpack_from(">I4s", clean, at)
        packed = clean[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        while packed:
            yield len(unpacker.decompress(packed, _PIECE_BYTES))
            packed = unpacker.unconsumed_tail
        at += 12 + size
