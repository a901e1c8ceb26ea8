"""Small images in every format, and their parts."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

WORKFLOW = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 42, "steps": 20}}})
SECRET = b"KSampler"
PNG_START = b"\x89PNG\r\n\x1a\n"


def a_picture(mode: str = "RGB", width: int = 48, height: int = 32) -> Image.Image:
    """Bright at the top, dark below, redder to the right: no two turns of it look the same."""
    down = Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    across = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90)
    blended = Image.merge("RGBA", (across, down, down, across)).resize((width, height))
    if mode == "I;16":
        return blended.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    return blended.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes) -> tuple[str, tuple[int, int], bytes]:
    image = decoded(data)
    return image.mode, image.size, image.tobytes()


def comfyui_png(image: Image.Image | None = None) -> bytes:
    """As ComfyUI's SaveImage node writes it: two text chunks in front of the pixels."""
    texts = PngInfo()
    texts.add_text("prompt", WORKFLOW)
    texts.add_text("workflow", WORKFLOW)
    return encoded(image or a_picture(), "PNG", pnginfo=texts, compress_level=4)


def png_chunk(kind: bytes, payload: bytes = b"") -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)


def png_header(width: int, height: int) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_with(chunk: bytes, data: bytes) -> bytes:
    """The chunk right behind the header."""
    return data[:33] + chunk + data[33:]


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = SECRET.decode()
    return tags


BY_CONTENT_TYPE: dict[str, Callable[[], bytes]] = {
    "image/png": comfyui_png,
    "image/jpeg": lambda: encoded(a_picture(), "JPEG", exif=exif(), comment=SECRET),
    "image/webp": lambda: encoded(a_picture(), "WEBP", exif=exif(), xmp=SECRET),
}

every_format = pytest.mark.parametrize("content_type", BY_CONTENT_TYPE)
