"""The identity of the drawn person, stored in the lowest bits of a picture's first row.

A real model recognises a face; the simulators read this watermark, so that a picture drawn from a reference
shows the reference's person. It survives lossless storage and the loss of metadata.
"""

import re

from PIL import Image

MAGIC = b"face"
BYTES = len(MAGIC) + 8


def write_watermark(picture: Image.Image, identity: str) -> None:
    """Mark an RGB picture with an identity of 16 hexadecimal digits, if it is wide enough."""
    if picture.width < BYTES * 8:
        return
    for x, bit in enumerate(_bits(MAGIC + bytes.fromhex(identity))):
        red, *others = _pixel(picture, x)
        picture.putpixel((x, 0), (red & ~1 | bit, *others))


def read_watermark(picture: Image.Image) -> str | None:
    """Return the identity in an RGB picture, or None."""
    if picture.width < BYTES * 8:
        return None
    data = bytearray(BYTES)
    for x in range(BYTES * 8):
        data[x // 8] |= (_pixel(picture, x)[0] & 1) << (x % 8)
    return data[len(MAGIC) :].hex() if data.startswith(MAGIC) else None


def is_identity(text: str) -> bool:
    """Return whether a text is an identity."""
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None


def _bits(data: bytes) -> list[int]:
    return [byte >> position & 1 for byte in data for position in range(8)]


def _pixel(picture: Image.Image, x: int) -> tuple[int, ...]:
    pixel = picture.getpixel((x, 0))
    assert isinstance(pixel, tuple), "an RGB picture"
    return tuple(int(value) for value in pixel)
