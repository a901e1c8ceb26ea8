"""The orientation that Exif requests of a viewer.

Pillow's `Image.Exif` is not used: it reads every tag, and writes a warning for each damaged one, which
may be tens of thousands in one image.
"""

import struct
from typing import Final

from PIL.Image import Transpose

TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
SIDEWAYS: Final = range(5, 9)
"""Orientations that swap width and height."""
_ORIENTATION, _SHORT = 0x0112, 3


def orientation(exif: bytes) -> int:
    """Return the orientation in Exif, 1 to 8; 1 (upright) where it is missing or unreadable."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                return int(value) if value in TURNS else 1
    except struct.error:
        pass
    return 1
