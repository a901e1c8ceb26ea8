"""An image as the parts of its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
WEBP: Final = "image/webp"

MAX_PARTS: Final = 100_000
"""Limit on the parts of a file. Real files have hundreds; empty parts would only cost time."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Parts of an image file. `kept`, joined, is the same image without metadata."""

    content_type: str
    width: int
    height: int
    kept: Sequence[memoryview | bytes]
    exif: bytes = b""
