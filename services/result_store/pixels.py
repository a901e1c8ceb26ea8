"""Decoding and encoding of pixels. Undecodable pixels are `ImageCorrupt`, never a half-grey picture."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import simplejpeg
from PIL import Image, ImageChops
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from services.result_store.bad_images import ImageCorrupt
from services.result_store.parts import JPEG, PNG, WEBP
from services.result_store.png_rows import check_palette, check_rows

# Not Image.open: its limit is one number for the whole process, and it warns instead of refusing.
_OPENERS: Final[dict[str, type[ImageFile]]] = {
    PNG: PngImageFile,
    JPEG: JpegImageFile,
    WEBP: WebPImageFile,
}
_SAVED_AS: Final[dict[str, dict[str, Any]]] = {
    PNG: {"format": "PNG"},
    JPEG: {"format": "JPEG", "quality": 95, "subsampling": 0},
    WEBP: {"format": "WEBP", "quality": 95},
}
_JPEG_COLOURS: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_FILLER_AT_THE_END: Final = re.compile(r"(\d{1,2}) extraneous bytes before marker 0xd9")
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    DecompressionBombError,
)


def decode(clean: bytes, content_type: str, longest_side: int | None = None) -> Image.Image:
    """Decode every pixel of an image that has no metadata.

    With `longest_side`, a JPEG may come out at a half, a quarter or an eighth of its size, though
    not smaller than that: all of its data is read nevertheless, and less is computed.

    Raises:
        ImageCorrupt: there are too few pixels, or some cannot be decoded.
    """
    with _decoding():
        picture = _OPENERS[content_type](io.BytesIO(clean))
        if isinstance(picture, JpegImageFile):
            return _decode_jpeg(clean, picture, longest_side)
        picture.load()
        if isinstance(picture, PngImageFile):
            check_rows(clean, picture)
            check_palette(picture)
        return picture


def encode(picture: Image.Image, content_type: str) -> bytes:
    """Encode an image with its colour profile: losslessly as PNG, else with quality 95."""
    file = io.BytesIO()
    with _decoding():
        picture.save(file, icc_profile=picture.info.get("icc_profile"), **_SAVED_AS[content_type])
    return file.getvalue()


def _decode_jpeg(clean: bytes, header: JpegImageFile, longest_side: int | None) -> Image.Image:
    """Decode with libjpeg's warnings as errors: Pillow ignores them and fills up with grey."""
    options: dict[str, Any] = {"colorspace": _JPEG_COLOURS[header.mode]}
    if longest_side is not None:
        width, height = header.size
        share = min(1.0, longest_side / max(width, height))
        options |= {"min_width": max(1, int(width * share)), "min_height": max(1, int(height * share))}
    try:
        pixels = simplejpeg.decode_jpeg(clean, strict=True, **options)
    except ValueError as warning:
        if not _FILLER_AT_THE_END.search(str(warning)):  # harmless: all pixels came before it
            raise
        pixels = simplejpeg.decode_jpeg(clean, strict=False, **options)
    height, width = pixels.shape[:2]
    picture = Image.frombuffer(header.mode, (width, height), pixels.tobytes(), "raw", header.mode, 0, 1)
    if header.mode == "CMYK" and "adobe" in header.info:
        picture = ImageChops.invert(picture)  # Adobe writes the inks the other way round
    picture.info.update(header.info)
    return picture


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn the many errors of a decoder into one."""
    try:
        yield
    except _DECODER_ERRORS as error:
        raise ImageCorrupt(f"the picture cannot be decoded: {error}") from error
