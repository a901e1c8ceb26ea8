"""Check of an image, and its preview.

An image is decoded once. That one pass proves that it can be shown, and gives the pixels for its
preview and its placeholder.
"""

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
    WrongSize,
)
from services.result_store.formats import anatomy
from services.result_store.orientation import SIDEWAYS, TURNS, orientation
from services.result_store.parts import Anatomy
from services.result_store.pixels import decode, encode

__all__ = [
    "Accepted",
    "BadImage",
    "ImageCorrupt",
    "ImageTooLarge",
    "ImageUnsupported",
    "Inspected",
    "Limits",
    "NotAnImage",
    "Preview",
    "WrongSize",
    "accept",
    "encode_preview",
    "inspect",
    "preview",
]

PREVIEW_SIDE: Final = 512
_PREVIEW_QUALITY = 80
# ThumbHash allows 100, but keeps at most 7 waves a side: 16 show those, and cost far less.
_PLACEHOLDER_SIDE = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on an image; its pixels are counted from the header, before it is decoded."""

    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Inspected:
    """Type and size of an image by its own bytes, as a viewer shows it."""

    content_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """An image that can be stored: every pixel was decoded.

    `data` is the image without metadata and upright, `small` its decoded pixels, made small.
    """

    content_type: str
    width: int
    height: int
    data: bytes
    small: Image.Image


@dataclass(frozen=True, slots=True)
class Preview:
    """A small WebP, and a ThumbHash (base64, some 30 characters) to show until it is loaded."""

    data: bytes
    width: int
    height: int
    placeholder: str


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Inspected:
    """Recognise an image by its bytes alone and walk its parts, without decoding it.

    Raises:
        NotAnImage: no PNG, JPEG or WebP.
        ImageTooLarge: more bytes or pixels than the limits.
        ImageCorrupt: cut off, or damaged in a part that is needed to draw it.
        ImageUnsupported: animated, or of a kind that browsers cannot show.
    """
    return _inspected(_within(data, limits))


def accept(data: bytes, limits: Limits = DEFAULT_LIMITS, *, longest_side: int = PREVIEW_SIDE) -> Accepted:
    """Check an image, decode it once, and remove its metadata: prompts, workflows, cameras, places.

    The stored pixels are the same bit for bit, and colour profiles stay. Only an image with an Exif
    orientation is encoded again, upright. Damaged metadata is no reason to refuse an image.

    Raises:
        BadImage: as `inspect`; and `ImageCorrupt` if its pixels cannot be decoded.
    """
    parts = _within(data, limits)
    found = _inspected(parts)
    clean = b"".join(parts.kept)
    turn = TURNS.get(orientation(parts.exif))
    picture = decode(clean, found.content_type, None if turn is not None else longest_side)
    if turn is not None:
        picture = picture.transpose(turn)
        clean = b"".join(anatomy(encode(picture, found.content_type)).kept)
    small = _small(picture, longest_side)
    return Accepted(found.content_type, found.width, found.height, clean, small)


def encode_preview(small: Image.Image) -> Preview:
    """Encode the small picture of an accepted image, and describe it in a placeholder."""
    encoded = io.BytesIO()
    profile = small.info.get("icc_profile")
    small.save(encoded, "WEBP", quality=_PREVIEW_QUALITY, method=0, icc_profile=profile)
    return Preview(encoded.getvalue(), small.width, small.height, _placeholder(small))


def preview(data: bytes, *, longest_side: int = PREVIEW_SIDE, limits: Limits = DEFAULT_LIMITS) -> Preview:
    """Decode an image, make it small (never larger) and describe it in a placeholder.

    Raises:
        BadImage: see `accept`.
    """
    return encode_preview(accept(data, limits, longest_side=longest_side).small)


def _within(data: bytes, limits: Limits) -> Anatomy:
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(len(data), limits.max_bytes, "bytes")
    found = anatomy(data)
    if found.width * found.height > limits.max_pixels:
        raise ImageTooLarge(found.width * found.height, limits.max_pixels, "pixels")
    return found


def _inspected(found: Anatomy) -> Inspected:
    if orientation(found.exif) in SIDEWAYS:
        return Inspected(found.content_type, found.height, found.width)
    return Inspected(found.content_type, found.width, found.height)


def _small(picture: Image.Image, longest_side: int) -> Image.Image:
    small = _in_colour(picture)
    # Average whole pixels first: a gap of 2.0 looks the same and takes 11 ms longer at 1024 pixels.
    small.thumbnail((longest_side, longest_side), reducing_gap=1.0)
    return small


def _in_colour(image: Image.Image) -> Image.Image:
    """Return the image as RGB or RGBA for WebP and resampling; a profile of other colours is removed."""
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
