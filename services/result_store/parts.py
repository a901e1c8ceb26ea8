"""An image as the parts of its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
WEBP: Final = "image/webp"

MAX_PARTS: Final = 100_000
"""Real files have hundreds; a file of empty parts would only burn time."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Parts of an image file. `kept`, joined, is the same picture without metadata."""

    content_type: str
    width: int
    height: int
    kept: Sequence[memoryview | bytes]
    exif: bytes = b""
