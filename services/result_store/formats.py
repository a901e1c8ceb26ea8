"""The parts of PNG, JPEG and WebP files, walked from first byte to last without decoding pixels.

Parts that draw nothing and are removed anyway may be damaged, and so may the mark of the file's end;
parts that draw may not.
"""

import struct

from services.result_store.bad_images import ImageCorrupt, NotAnImage
from services.result_store.jpeg_parts import JPEG_START, jpeg
from services.result_store.parts import Anatomy
from services.result_store.png_parts import PNG_START, png
from services.result_store.webp_parts import webp


def anatomy(data: bytes) -> Anatomy:
    """Recognise an image by its first bytes and walk its parts up to its end.

    Raises:
        NotAnImage: it is none of the three formats.
        ImageCorrupt: it is cut off, or a part that is needed to draw it is damaged.
        ImageUnsupported: it is animated, or coded in a way that browsers cannot show.
    """
    try:
        if data.startswith(PNG_START):
            return png(memoryview(data))
        if data.startswith(JPEG_START):
            return jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return webp(memoryview(data))
    except struct.error:
        raise ImageCorrupt("a header is not as long as its format demands") from None
    if not data:
        raise NotAnImage("there are no bytes at all")
    raise NotAnImage(f"neither PNG, JPEG nor WebP: it begins with {data[:16]!r}")
