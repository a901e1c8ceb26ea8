"""Pictures of the simulators: real files, the same for the same request."""

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
    Sketch,
    UnreadableImage,
    draw,
    encode,
    open_image,
    render,
    tiny,
)
from deploy.simulators.identity_watermark import read_watermark
from deploy.simulators.renderer import make

SKETCH = Sketch("a golden portrait of a sailor", 7, 320, 256)


def test_the_same_sketch_gives_the_same_bytes() -> None:
    assert render(SKETCH) == render(SKETCH)


@pytest.mark.parametrize(
    "other",
    [
        replace(SKETCH, seed=8),
        replace(SKETCH, prompt="a sailor"),
        replace(SKETCH, label="anna"),
        replace(SKETCH, references=(tiny(),)),
    ],
)
def test_another_sketch_gives_other_bytes(other: Sketch) -> None:
    assert render(SKETCH) != render(other)


@pytest.mark.parametrize("size", [(16, 16), (64, 512), (320, 256), (1024, 1024), (1344, 768)])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_has_the_asked_size_and_kind(size: tuple[int, int], kind: str) -> None:
    data = render(replace(SKETCH, width=size[0], height=size[1], references=(tiny(),)), kind)
    picture = Image.open(io.BytesIO(data))
    assert (picture.size, picture.format) == (size, kind.upper())


def test_any_prompt_can_be_written() -> None:
    for prompt in ("", "x" * 500, "портрет моряка 海", "a\nb\tc", "word " * 300):
        assert render(replace(SKETCH, prompt=prompt))


def test_text_is_kept_in_the_file() -> None:
    picture = Image.open(io.BytesIO(render(SKETCH, "png", {"prompt": "{}"})))
    assert picture.info["prompt"] == "{}"


def test_bytes_that_are_no_picture_are_named_so() -> None:
    with pytest.raises(UnreadableImage):
        open_image(b"hello")


@pytest.mark.parametrize(
    ("asked", "given"), [((320, 256), (320, 256)), ((896, 1152), (448, 576)), ((1023, 513), (512, 257))]
)
async def test_the_tiny_picture_is_one_object_per_size(
    asked: tuple[int, int], given: tuple[int, int]
) -> None:
    sketch = replace(SKETCH, width=asked[0], height=asked[1])
    first = await make(sketch, Outcome(0), tiny=True)
    assert first is await make(replace(sketch, seed=9), Outcome(0), tiny=True)
    assert Image.open(io.BytesIO(first)).size == given


def test_a_large_picture_costs_little() -> None:
    render(replace(SKETCH, width=1024, height=1024))
    started = time.process_time()
    render(replace(SKETCH, width=1024, height=1024, seed=1))
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
    first = draw(Sketch("a woman", 1, 256, 256))
    second = draw(Sketch("on a beach", 2, 256, 256, references=(encode(first, "png"),)))
    third = draw(Sketch("in a café", 3, 256, 256, references=(encode(second, "png"),)))
    stranger = draw(Sketch("a woman", 4, 256, 256))
    assert read_watermark(first)
    assert read_watermark(first) == read_watermark(second) == read_watermark(third)
    assert read_watermark(stranger) != read_watermark(first)
