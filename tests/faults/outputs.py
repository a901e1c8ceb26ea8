"""Faults of an output: the image is made and paid for, and must still be fetched from the provider."""

import asyncio
from functools import cache
from io import BytesIO

from PIL import Image

from tests.faults.between import (
    ALWAYS,
    LARGE_BYTES,
    Exchange,
    How,
    Spoil,
    cut,
    endless,
    hang_up,
    moved,
    redirect,
    saying,
    slow,
    status,
)
from tests.faults.rows import DONE, Fault, Row, lost_output


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


GONE = output("URL gone", status(404))
BROKE = output("503 at first", status(503), times=1)
DROPPED = output("connection lost at first", hang_up, times=1)
TRUNCATED = output("truncated at first", cut, times=1)
SLOW = output("slow stream", slow, fetch_seconds=0.4)
ENDLESS = output("slow stream without end", endless, fetch_seconds=0.05)
LARGE = output("50 MB", as_large_as_may_be)
TOO_LARGE = output("more than 50 MB", too_large)
NO_IMAGE = output("a page instead", saying(b"<html>", "text/html"))
REDIRECTED = output("redirect to another host", redirect)
ELSEWHERE = Fault("output: link to another host", spoils=(Spoil(("result",), moved),))

ROWS = (
    #   provider   what happens     how it ends                            sent, taken
    Row("modal", GONE, lost_output("output_unavailable"), 1, 1),
    Row("comfyui", GONE, lost_output("output_unavailable"), 1, 1),
    Row("fal", GONE, lost_output("output_unavailable"), 1, 1),
    Row("modal", BROKE, DONE, 1, 1),
    Row("comfyui", BROKE, DONE, 1, 1),
    Row("fal", BROKE, DONE, 1, 1),
    Row("modal", DROPPED, DONE, 1, 1),
    Row("comfyui", DROPPED, DONE, 1, 1),
    Row("fal", DROPPED, DONE, 1, 1),
    Row("modal", TRUNCATED, DONE, 1, 1),
    Row("comfyui", TRUNCATED, DONE, 1, 1),
    Row("fal", TRUNCATED, DONE, 1, 1),
    Row("modal", SLOW, DONE, 1, 1),
    Row("comfyui", SLOW, DONE, 1, 1),
    Row("fal", SLOW, DONE, 1, 1),
    Row("modal", ENDLESS, lost_output("output_unavailable"), 1, 1),
    Row("comfyui", ENDLESS, lost_output("output_unavailable"), 1, 1),
    Row("fal", ENDLESS, lost_output("output_unavailable"), 1, 1),
    Row("modal", LARGE, DONE, 1, 1),
    Row("comfyui", LARGE, DONE, 1, 1),
    Row("fal", LARGE, DONE, 1, 1),
    Row("modal", TOO_LARGE, lost_output("image_too_large"), 1, 1),
    Row("comfyui", TOO_LARGE, lost_output("image_too_large"), 1, 1),
    Row("fal", TOO_LARGE, lost_output("image_too_large"), 1, 1),
    Row("modal", NO_IMAGE, lost_output("not_an_image"), 1, 1),
    Row("comfyui", NO_IMAGE, lost_output("not_an_image"), 1, 1),
    Row("fal", NO_IMAGE, lost_output("not_an_image"), 1, 1),
    Row("modal", REDIRECTED, lost_output("output_unavailable"), 1, 1),
    Row("comfyui", REDIRECTED, lost_output("output_unavailable"), 1, 1),
    Row("fal", REDIRECTED, lost_output("output_unavailable"), 1, 1),
    Row("fal", ELSEWHERE, lost_output("output_unavailable"), 1, 1),
)
