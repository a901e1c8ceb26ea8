"""An image that would cost too much is refused before it costs anything."""

import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from services.result_store.images import ImageCorrupt, ImageTooLarge, Limits, inspect
from tests.unit.result_store.pictures import (
    PNG_START,
    a_picture,
    comfyui_png,
    encoded,
    exif,
    png_chunk,
    png_header,
)


def a_png_bomb() -> bytes:
    body = png_chunk(b"IDAT", b"\x78\x9c\x03\x00") + png_chunk(b"IEND")
    return PNG_START + png_header(60_000, 60_000) + body


def a_jpeg_bomb() -> bytes:
    data = bytearray(encoded(a_picture(), "JPEG"))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 60_000, 60_000)
    return bytes(data)


def a_webp_bomb() -> bytes:
    data = bytearray(encoded(a_picture(), "WEBP", lossless=True))
    struct.pack_into("<I", data, data.index(b"VP8L") + 9, 0x0FFFFFFF)
    return bytes(data)


@pytest.mark.parametrize("bomb", [a_png_bomb, a_jpeg_bomb, a_webp_bomb])
def test_a_bomb_is_refused_quickly_and_in_little_memory(bomb: Callable[[], bytes]) -> None:
    data = bomb()
    assert len(data) < 2_000
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(ImageTooLarge, match=r"pixels, the limit is 67,108,864"):
        inspect(data, Limits())
    elapsed, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert elapsed < 0.1
    assert peak < 200_000


def test_a_second_jpeg_frame_cannot_hide_a_bomb() -> None:
    data, bomb = encoded(a_picture(), "JPEG"), a_jpeg_bomb()
    start = bomb.index(b"\xff\xc0")
    frame = bomb[start : start + 19]
    with pytest.raises(ImageCorrupt, match="2 frames"):
        inspect(data[:start] + frame + data[start:], Limits())


def test_a_webp_canvas_cannot_hide_a_bomb() -> None:
    data = bytearray(encoded(a_picture("RGBA"), "WEBP", exif=exif(), lossless=True))
    struct.pack_into("<I", data, data.index(b"VP8L") + 9, 0x0FFFFFFF)
    with pytest.raises(ImageCorrupt, match="announced as"):
        inspect(bytes(data), Limits())


def test_the_limits_are_inclusive() -> None:
    data = comfyui_png()
    fitting = Limits(max_bytes=len(data), max_pixels=48 * 32)
    assert inspect(data, fitting).width == 48
    with pytest.raises(ImageTooLarge, match="pixels, the limit is 1,535"):
        inspect(data, Limits(max_pixels=48 * 32 - 1))
    with pytest.raises(ImageTooLarge, match=f"{len(data):,} bytes"):
        inspect(data, Limits(max_bytes=len(data) - 1))


def test_a_file_of_empty_parts_does_not_keep_a_thread_busy() -> None:
    data = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 150_000
    with pytest.raises(ImageCorrupt, match="more than 100000"):
        inspect(data, Limits())
