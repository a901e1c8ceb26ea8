"""Pictures of the simulators: valid files, the same for the same request."""

import io
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import httpx
import pytest
from PIL import Image

from deploy.simulators.behaviour import Behaviour, Outcome
from deploy.simulators.drawing import (
    PictureSpec,
    UnreadableImage,
    draw,
    encode,
    open_image,
    render,
    tiny,
)
from deploy.simulators.identity_watermark import read_watermark
from deploy.simulators.renderer import render_in_thread

SPEC = PictureSpec("a golden portrait of a sailor", 7, 320, 256)


def test_the_same_spec_gives_the_same_bytes() -> None:
    assert render(SPEC) == render(SPEC)


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, seed=8),
        replace(SPEC, prompt="a sailor"),
        replace(SPEC, label="anna"),
        replace(SPEC, references=(tiny(),)),
    ],
)
def test_another_spec_gives_other_bytes(other: PictureSpec) -> None:
    assert render(SPEC) != render(other)


@pytest.mark.parametrize("size", [(16, 16), (64, 512), (320, 256), (1024, 1024), (1344, 768)])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_has_the_requested_size_and_format(size: tuple[int, int], kind: str) -> None:
    data = render(replace(SPEC, width=size[0], height=size[1], references=(tiny(),)), kind)
    picture = Image.open(io.BytesIO(data))
    assert (picture.size, picture.format) == (size, kind.upper())


def test_a_picture_can_show_any_prompt() -> None:
    for prompt in ("", "x" * 500, "портрет моряка 海", "a\nb\tc", "word " * 300):
        assert render(replace(SPEC, prompt=prompt))


def test_text_is_stored_in_the_file() -> None:
    picture = Image.open(io.BytesIO(render(SPEC, "png", {"prompt": "{}"})))
    assert picture.info["prompt"] == "{}"


def test_undecodable_bytes_are_an_unreadable_image() -> None:
    with pytest.raises(UnreadableImage):
        open_image(b"hello")


@pytest.mark.parametrize(
    ("requested", "given"), [((320, 256), (320, 256)), ((896, 1152), (448, 576)), ((1023, 513), (512, 257))]
)
async def test_the_tiny_picture_is_one_object_per_size(
    requested: tuple[int, int], given: tuple[int, int]
) -> None:
    spec = replace(SPEC, width=requested[0], height=requested[1])
    first = await render_in_thread(spec, Outcome(0), tiny=True)
    assert first is await render_in_thread(replace(spec, seed=9), Outcome(0), tiny=True)
    assert Image.open(io.BytesIO(first)).size == given


def test_a_large_picture_costs_little() -> None:
    render(replace(SPEC, width=1024, height=1024))
    started = time.process_time()
    render(replace(SPEC, width=1024, height=1024, seed=1))
    assert time.process_time() - started < 0.25


@pytest.mark.parametrize("name", ["fal", "comfyui", "modal"])
def test_a_simulator_runs_alone_starts_fast_and_stops_at_once(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", f"deploy.simulators.{name}", "--port", str(port)]
    options = ["--latency-seconds", "0.1", "--tiny", "--next-faults", "500", "oom"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}/_sim"
        behaviour = Behaviour.model_validate(_get_when_up(f"{url}/behaviour"))
        assert (behaviour.latency_seconds, behaviour.tiny) == (0.1, True)
        assert behaviour.next_faults == ("500", "oom")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=2)
        assert out == f"{name} simulator on http://127.0.0.1:{port}\n"
    finally:
        process.kill()
        process.wait()


def _get_when_up(url: str) -> object:
    deadline = time.monotonic() + 40
    with httpx.Client(trust_env=False) as client:
        while True:
            try:
                return client.get(url).json()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def test_a_picture_of_a_picture_shows_the_same_person() -> None:
    first = draw(PictureSpec("a woman", 1, 256, 256))
    second = draw(PictureSpec("on a beach", 2, 256, 256, references=(encode(first, "png"),)))
    third = draw(PictureSpec("in a café", 3, 256, 256, references=(encode(second, "png"),)))
    stranger = draw(PictureSpec("a woman", 4, 256, 256))
    assert read_watermark(first)
    assert read_watermark(first) == read_watermark(second) == read_watermark(third)
    assert read_watermark(stranger) != read_watermark(first)
