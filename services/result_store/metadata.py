"""Takes everything but the picture out of an image: prompts, workflows, cameras, places."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from PIL import Image
from PIL.Image import DecompressionBombError, Transpose
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from services.result_store.bad_images import ImageCorrupt, NotAnImage
from services.result_store.formats import JPEG, PNG, WEBP, anatomy

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
_TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_ORIENTATION, _SHORT = 0x0112, 3
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


def strip_metadata(data: bytes, content_type: str) -> bytes:
    """The same pixels, bit for bit, without metadata and without what follows the image's end.

    Colour profiles stay. Only an image that Exif says to turn is encoded anew, upright: losslessly
    as PNG, else with quality 95. That decodes it: pass what `inspect` has accepted.

    Raises:
        BadImage: the bytes are no whole image of this content type.
    """
    found = anatomy(data)
    if found.content_type != content_type:
        raise NotAnImage(f"not {content_type}: the bytes are {found.content_type}")
    clean = b"".join(found.kept)
    turn = _TURNS.get(orientation(found.exif))
    if turn is None:
        return clean
    return b"".join(anatomy(_turned(clean, content_type, turn)).kept)


def orientation(exif: bytes) -> int:
    """How Exif says to turn the picture, 1 to 8; 1 (as it is) where it is silent or unreadable."""
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
                return int(value) if value in _TURNS else 1
    except struct.error:
        pass
    return 1


def opened(clean: bytes, content_type: str) -> ImageFile:
    """An image ready to decode, from bytes without metadata. Use it within `decoding`."""
    return _OPENERS[content_type](io.BytesIO(clean))


@contextmanager
def decoding() -> Iterator[None]:
    """Give the many errors of a decoder one name: the picture is corrupt."""
    try:
        yield
    except _DECODER_ERRORS as error:
        raise ImageCorrupt(f"the picture cannot be decoded: {error}") from error


def _turned(clean: bytes, content_type: str, turn: Transpose) -> bytes:
    upright = io.BytesIO()
    with decoding():
        picture: Image.Image = opened(clean, content_type).transpose(turn)
        profile = picture.info.get("icc_profile")
        picture.save(upright, icc_profile=profile, **_SAVED_AS[content_type])
    return upright.getvalue()
