"""Faults of an output: the image is made and paid for, and must still be fetched from the provider."""

import asyncio
import zlib
from functools import cache
from io import BytesIO

from PIL import Image

from tests.faults.between import ALWAYS, Exchange, How, Spoil
from tests.faults.rows import ALL, DONE, FAL, Fault, at, lost_output
from tests.faults.spoiling import LARGE_BYTES, cut, endless, hang_up, moved, redirect, saying, slow, status


@cache
def picture(width: int, height: int) -> bytes:
    """A PNG whose pixels are not packed: 3 bytes each."""
    file = BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG", compress_level=0)
    return file.getvalue()


def output(name: str, how: How, times: int = ALWAYS, fetch_seconds: float = 5.0) -> Fault:
    spoils = (Spoil(("output",), how, times),)
    return Fault(f"output: {name}", spoils=spoils, fetch_seconds=fetch_seconds)


async def as_large_as_may_be(exchange: Exchange) -> None:
    data = await asyncio.to_thread(picture, 4096, 4090)
    assert LARGE_BYTES * 0.95 < len(data) < LARGE_BYTES
    await saying(data, "image/png")(exchange)


async def too_large(exchange: Exchange) -> None:
    data = await asyncio.to_thread(picture, 4096, 4300)
    assert len(data) > LARGE_BYTES
    await saying(data, "image/png")(exchange)


def damaged() -> bytes:
    """A whole file, half of whose pixels are not there."""
    data = picture(896, 1152)
    at = data.index(b"IDAT") - 4
    pixels = zlib.compress(bytes(896 * 3 * 576))
    chunk = b"IDAT" + pixels
    chunk = len(pixels).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    return data[:at] + chunk + data[-12:]


GONE = output("URL gone", status(404))
BROKE = output("503 at first", status(503), times=1)
DROPPED = output("connection lost at first", hang_up, times=1)
TRUNCATED = output("truncated at first", cut, times=1)
SLOW = output("slow stream", slow, fetch_seconds=0.4)
ENDLESS = output("slow stream without end", endless, fetch_seconds=0.05)
LARGE = output("50 MB", as_large_as_may_be)
TOO_LARGE = output("more than 50 MB", too_large)
NO_IMAGE = output("a page instead", saying(b"<html>", "text/html"))
CORRUPT = output("corrupt pixels", saying(damaged(), "image/png"))
WRONG_SIZE = output("wrong size", saying(picture(100, 30), "image/png"))
REDIRECTED = output("redirect to another host", redirect)
ELSEWHERE = Fault("output: link to another host", spoils=(Spoil(("result",), moved),))

ROWS = (
    # where, what happens, how it ends, sent, taken
    *at(ALL, GONE, lost_output("output_unavailable"), 1, 1),
    *at(ALL, BROKE, DONE, 1, 1),
    *at(ALL, DROPPED, DONE, 1, 1),
    *at(ALL, TRUNCATED, DONE, 1, 1),
    *at(ALL, SLOW, DONE, 1, 1),
    *at(ALL, ENDLESS, lost_output("output_unavailable"), 1, 1),
    *at(ALL, LARGE, DONE, 1, 1),
    *at(ALL, TOO_LARGE, lost_output("image_too_large"), 1, 1),
    *at(ALL, NO_IMAGE, lost_output("not_an_image"), 1, 1),
    *at(ALL, CORRUPT, lost_output("image_corrupt"), 1, 1),
    *at(ALL, WRONG_SIZE, lost_output("wrong_size", retryable=False), 1, 1),
    *at(ALL, REDIRECTED, lost_output("output_unavailable"), 1, 1),
    *at(FAL, ELSEWHERE, lost_output("output_unavailable"), 1, 1),
)
