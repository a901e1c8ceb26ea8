"""Drawn people match their prompt."""

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from PIL import Image

from contracts.characters import Appearance
from contracts.wizard import offered_values
from deploy.simulators.drawing import PictureSpec, draw, encode
from deploy.simulators.figure import draw_figure
from deploy.simulators.identity_watermark import read_watermark
from deploy.simulators.looks import EYES, HAIRS, Looks
from deploy.simulators.palette import Colour, Palette

CATALOGUE = offered_values(Appearance)
KEY: Colour = (255, 0, 255)


def looks_of(prompt: str) -> Looks:
    return Looks.of(prompt, Random(1))


def figure(looks: Looks) -> Image.Image:
    canvas = Image.new("RGB", (384, 384))
    draw_figure(canvas, Palette.of("", Random(1)), Random(2), Random(3), looks)
    return canvas


def dominant(one: Looks, other: Looks) -> Colour:
    """Return the most frequent colour of the pixels in which one person differs from another."""
    drawn, apart = (figure(looks).tobytes() for looks in (one, other))
    pixels = ((drawn[at : at + 3], apart[at : at + 3]) for at in range(0, len(drawn), 3))
    red, green, blue = Counter(mine for mine, theirs in pixels if mine != theirs).most_common(1)[0][0]
    return red, green, blue


def distance(one: Colour, other: Colour) -> float:
    return math.dist(one, other)


@pytest.mark.parametrize("colour", CATALOGUE["hair_color"])
@pytest.mark.parametrize(
    "prompt",
    [
        "A 27-year-old woman with long wavy {} hair and green eyes, in a blue dress at the sea",
        "(woman:1.2), 27 years old, (short {} hair:1.1), (green eyes:1.1), pink sunset",
        "a man with light blue eyes, fair skin and a {} ponytail",
    ],
)
def test_the_drawn_hair_has_the_colour_of_the_prompt(prompt: str, colour: str) -> None:
    looks = looks_of(prompt.format(colour))
    drawn = dominant(looks, replace(looks, hair=KEY))
    assert distance(drawn, HAIRS[colour]) < 60
    nearest = min(HAIRS, key=lambda name: distance(drawn, HAIRS[name]))
    assert distance(HAIRS[nearest], HAIRS[colour]) < 70, nearest


@pytest.mark.parametrize("colour", CATALOGUE["eye_color"])
def test_the_drawn_eyes_have_the_colour_of_the_prompt(colour: str) -> None:
    looks = looks_of(f"a woman with blue hair and {colour} eyes, grey coat")
    assert looks.eyes == EYES[colour]
    assert distance(dominant(looks, replace(looks, eyes=KEY)), EYES[colour]) < 60


@pytest.mark.parametrize("style", CATALOGUE["hair_style"])
def test_every_hair_style_keeps_its_colour(style: str) -> None:
    assert looks_of(f"a woman with auburn {style} hair").hair == HAIRS["auburn"]


@pytest.mark.parametrize(
    ("prompt", "field", "value"),
    [
        ("a man with a bald head, full beard, glasses", "style", "bald"),
        ("a man with a bald head, full beard, glasses", "beard", "beard"),
        ("a man with a bald head, full beard, glasses", "glasses", True),
        ("a redhead on a beach", "hair", HAIRS["copper red"]),
        ("a blonde woman", "hair", HAIRS["blonde"]),
        ("a woman with curly black hair", "style", "curls"),
        ("a woman, chin-length brown hair", "style", "bob"),
        ("a man with stubble", "beard", "stubble"),
    ],
)
def test_other_looks_follow_the_prompt(prompt: str, field: str, value: object) -> None:
    assert getattr(looks_of(prompt), field) == value


def test_a_man_is_not_drawn_with_the_hair_of_a_woman() -> None:
    men = {Looks.of("a man at the sea", Random(seed)).style for seed in range(40)}
    assert men <= {"short", "curls"}
    assert not {Looks.of("a woman at the sea", Random(seed)).style for seed in range(40)} & {"short", "bald"}


def test_wind_in_the_hair_does_not_determine_its_colour() -> None:
    assert {Looks.of("sunset, wind in the hair", Random(seed)).hair for seed in range(40)} > {HAIRS["black"]}


def test_a_picture_of_a_picture_keeps_the_looks_that_its_prompt_does_not_name() -> None:
    first = draw(PictureSpec("a woman with purple hair and a bob", 1, 256, 256))
    mark = read_watermark(first)
    assert mark is not None
    known = Looks.from_code(mark[:8])
    assert known is not None
    assert (known.hair, known.style) == (HAIRS["purple"], "bob")
    second = draw(PictureSpec("on a beach", 2, 256, 256, references=(encode(first, "png"),)))
    assert read_watermark(second) == mark


def test_a_named_garment_has_its_colour() -> None:
    assert Palette.of("wearing a yellow raincoat", Random(1)).clothes == (255, 255, 0)
    assert Palette.of("in her black leather jacket", Random(1)).clothes == (0, 0, 0)
