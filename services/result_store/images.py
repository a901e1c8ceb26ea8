"""What may be stored as an image, and the small picture shown in its place."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import thumbhash
from PIL import Image

from services.result_store.bad_images import (
    BadImage,
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    NotAnImage,
)
from services.result_store.formats import anatomy
from services.result_store.metadata import decoding, opened, orientation, strip_metadata

__all__ = [
    "BadImage",
    "ImageCorrupt",
    "ImageTooLarge",
    "ImageUnsupported",
    "Inspected",
    "Limits",
    "NotAnImage",
    "Preview",
    "inspect",
    "preview",
    "strip_metadata",
]

_SIDEWAYS = range(5, 9)  # Exif orientations that swap width and height
_PREVIEW_QUALITY = 80
# ThumbHash allows 100, but keeps at most 7 waves a side: 16 show those, and cost far less.
_PLACEHOLDER_SIDE = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What an image may measure; pixels are read from its header, before anything is decoded."""

    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an image is by its own bytes. Width and height are those a viewer shows."""

    content_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A small WebP, and a ThumbHash (base64, some 30 characters) to paint until it is loaded."""

    data: bytes
    width: int
    height: int
    placeholder: str


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Inspected:
    """Recognise an image by its bytes alone and check it from end to end without decoding it.

    Raises:
        NotAnImage: no PNG, JPEG or WebP.
        ImageTooLarge: more bytes or pixels than the limits.
        ImageCorrupt: cut off or damaged.
        ImageUnsupported: animated, or of a kind that browsers cannot show.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(len(data), limits.max_bytes, "bytes")
    found = anatomy(data)
    if found.width * found.height > limits.max_pixels:
        raise ImageTooLarge(found.width * found.height, limits.max_pixels, "pixels")
    if orientation(found.exif) in _SIDEWAYS:
        return Inspected(found.content_type, found.height, found.width)
    return Inspected(found.content_type, found.width, found.height)


def preview(data: bytes, *, longest_side: int = 512, limits: Limits = DEFAULT_LIMITS) -> Preview:
    """Decode an image, make it small (never larger) and describe it in a placeholder.

    Raises:
        BadImage: it does not pass `inspect`, or its pixels cannot be decoded.
    """
    content_type = inspect(data, limits).content_type
    clean = strip_metadata(data, content_type)
    with decoding():
        small = _small(opened(clean, content_type), longest_side)
        encoded = io.BytesIO()
        profile = small.info.get("icc_profile")
        small.save(encoded, "WEBP", quality=_PREVIEW_QUALITY, method=0, icc_profile=profile)
    return Preview(encoded.getvalue(), small.width, small.height, _placeholder(small))


def _small(image: Image.Image, longest_side: int) -> Image.Image:
    image.draft(None, (longest_side, longest_side))  # JPEG can decode a half, quarter or eighth
    small = _in_colour(image)
    # Average whole pixels first: a gap of 2.0 looks the same and costs 11 ms more at 1024 pixels.
    small.thumbnail((longest_side, longest_side), reducing_gap=1.0)
    return small


def _in_colour(image: Image.Image) -> Image.Image:
    """As RGB or RGBA, which WebP and averaging pixels need; a profile of other colours goes."""
    if image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode not in ("RGB", "P"):
        image.info.pop("icc_profile", None)
    if image.mode == "I;16":  # convert() would clip 16 bits, not scale them
        image.info.pop("transparency", None)
        image = image.point(lambda value: value / 256)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _placeholder(small: Image.Image) -> str:
    tiny = small.convert("RGBA")
    tiny.thumbnail((_PLACEHOLDER_SIDE, _PLACEHOLDER_SIDE))
    # On white: the thumbhash package fails with a TypeError on anything transparent.
    flat = Image.alpha_composite(Image.new("RGBA", tiny.size, "white"), tiny)
    hashed = thumbhash.rgba_to_thumb_hash(flat.width, flat.height, flat.tobytes())
    return base64.b64encode(bytes(hashed)).decode()
