"""A head and shoulders in flat colours.

`person` and `looks` determine the face, `scene` only the position.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image, ImageDraw

from deploy.simulators.looks import Looks
from deploy.simulators.palette import Colour, Palette, shade

INK: Final = (46, 32, 38)


class Pen:
    """Shapes in units of the figure: (0, 0) is the middle of the face, 1 is the height of the head."""

    def __init__(self, image: Image.Image, x: float, y: float, unit: float) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._x, self._y, self._unit = x, y, unit

    def box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        cx, cy, u = self._x + x * self._unit, self._y + y * self._unit, self._unit
        return cx - rx * u, cy - ry * u, cx + rx * u, cy + ry * u

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour, alpha: int = 255) -> None:
        self._draw.ellipse(self.box(x, y, rx, ry), fill=(*fill, alpha))

    def block(self, x: float, y: float, rx: float, ry: float, fill: Colour, round_by: float = 0.1) -> None:
        self._draw.rounded_rectangle(self.box(x, y, rx, ry), round_by * self._unit, fill=fill)

    def bow(
        self, x: float, y: float, rx: float, ry: float, start: int, end: int, fill: Colour,
        width: float = 0.022,
    ) -> None:  # fmt: skip
        thick = max(1, round(width * self._unit))
        self._draw.arc(self.box(x, y, rx, ry), start, end, fill=fill, width=thick)

    def slice(self, x: float, y: float, rx: float, ry: float, start: int, end: int, fill: Colour) -> None:
        self._draw.chord(self.box(x, y, rx, ry), start, end, fill=fill)


def draw_figure(image: Image.Image, palette: Palette, scene: Random, person: Random, looks: Looks) -> None:
    width, height = image.size
    unit = 0.36 * min(width, height) * scene.uniform(0.95, 1.08)
    x = width * (0.5 + scene.uniform(-0.05, 0.05))
    pen = Pen(image, x, height * 0.40, unit)
    pen.oval(0, -0.02, 0.86, 0.86, palette.halo, 120)
    pen.oval(0, -0.02, 0.74, 0.74, palette.halo, 150)
    behind, front = STYLES[looks.style]
    behind(pen, looks.hair)
    _draw_body(pen, looks.skin, palette.clothes, person)
    _draw_face(pen, looks, person)
    front(pen, looks.hair)
    BEARDS[looks.beard](pen, looks.hair)
    _draw_extras(pen, person, palette, looks)


def _draw_body(pen: Pen, skin: Colour, clothes: Colour, person: Random) -> None:
    pen.oval(0, 1.52, 0.98, 0.86, clothes)
    pen.block(0, 3.3, 0.98, 1.8, clothes)
    pen.oval(0, 1.58, 0.70, 0.72, shade(clothes, 1.10))
    pen.block(0, 3.3, 0.70, 1.72, shade(clothes, 1.10))
    pen.block(0, 0.56, 0.16, 0.24, shade(skin, 0.88), 0.12)
    collar = person.choice(("round", "deep", "roll"))
    if collar == "roll":
        pen.block(0, 0.76, 0.22, 0.12, shade(clothes, 1.25), 0.1)
    else:
        depth = 0.11 if collar == "round" else 0.19
        pen.oval(0, 0.76, 0.26, depth, shade(skin, 0.88))


def _draw_face(pen: Pen, looks: Looks, person: Random) -> None:
    skin, hair = looks.skin, looks.hair
    wide = person.uniform(0.355, 0.395)
    pen.oval(-wide, 0.06, 0.07, 0.1, shade(skin, 0.92))
    pen.oval(wide, 0.06, 0.07, 0.1, shade(skin, 0.92))
    pen.oval(0, 0.04, wide, 0.47, skin)
    gap = person.uniform(0.145, 0.17)
    for side in (-gap, gap):
        pen.bow(side, -0.03, 0.085, 0.06, 200, 340, shade(hair, 0.8), 0.028)
        pen.oval(side, 0.08, 0.062, 0.048, (250, 250, 250))
        pen.oval(side, 0.082, 0.041, 0.044, looks.eyes)
        pen.oval(side, 0.084, 0.017, 0.019, INK)
        pen.oval(side + 0.012, 0.068, 0.011, 0.012, (255, 255, 255))
        pen.oval(side * 1.5, 0.22, 0.065, 0.042, (232, 96, 92), 70)
    pen.bow(0, 0.16, 0.03, 0.035, 20, 160, shade(skin, 0.72), 0.018)
    smile = person.uniform(0.07, 0.11)
    pen.bow(0, 0.25, smile, 0.075, 20, 160, (168, 62, 66), 0.026)


def _draw_extras(pen: Pen, person: Random, palette: Palette, looks: Looks) -> None:
    extra = person.choice(("none", "none", "earrings", "freckles"))
    if looks.glasses:
        for side in (-0.155, 0.155):
            pen.bow(side, 0.08, 0.115, 0.105, 0, 360, (40, 40, 52), 0.02)
        pen.bow(0, 0.075, 0.045, 0.03, 200, 340, (40, 40, 52), 0.02)
    if extra == "earrings" and looks.beard == "none":
        for side in (-0.38, 0.38):
            pen.oval(side, 0.2, 0.032, 0.032, palette.accents[0])
    elif extra == "freckles":
        for x, y in ((-0.2, 0.17), (-0.15, 0.2), (-0.11, 0.17), (0.2, 0.17), (0.15, 0.2), (0.11, 0.17)):
            pen.oval(x, y, 0.01, 0.01, (150, 82, 58))


def _fringe(pen: Pen, hair: Colour) -> None:
    pen.slice(0, 0.0, 0.41, 0.49, 188, 352, hair)
    pen.slice(-0.12, -0.2, 0.34, 0.27, 150, 320, shade(hair, 1.12))


def _parting(pen: Pen, hair: Colour) -> None:
    pen.slice(-0.21, -0.16, 0.26, 0.34, 140, 325, hair)
    pen.slice(0.21, -0.16, 0.26, 0.34, 215, 40, hair)


def _long(pen: Pen, hair: Colour) -> None:
    pen.oval(0, 0.0, 0.50, 0.58, shade(hair, 0.92))
    pen.block(0, 0.42, 0.50, 0.50, shade(hair, 0.92), 0.3)


def _bob(pen: Pen, hair: Colour) -> None:
    pen.oval(0, 0.04, 0.50, 0.58, shade(hair, 0.88))
    pen.block(0, 0.24, 0.50, 0.26, shade(hair, 0.88), 0.2)


def _bun(pen: Pen, hair: Colour) -> None:
    pen.oval(0, -0.62, 0.2, 0.19, shade(hair, 0.9))
    pen.oval(0, -0.02, 0.43, 0.53, hair)


def _short(pen: Pen, hair: Colour) -> None:
    pen.oval(0, -0.08, 0.42, 0.48, shade(hair, 0.9))


def _curls(pen: Pen, hair: Colour) -> None:
    for x, y in (
        (-0.38, 0.12), (0.38, 0.12), (-0.44, -0.12), (0.44, -0.12), (-0.34, -0.36), (0.34, -0.36),
        (-0.13, -0.5), (0.13, -0.5), (0.0, -0.3),
    ):  # fmt: skip
        pen.oval(x, y, 0.2, 0.2, shade(hair, 0.92))


def _bald(pen: Pen, hair: Colour) -> None:
    """Draw nothing."""


def _stubble(pen: Pen, hair: Colour) -> None:
    pen.oval(0, 0.36, 0.24, 0.14, hair, 60)


def _moustache(pen: Pen, hair: Colour) -> None:
    pen.oval(-0.06, 0.245, 0.075, 0.026, hair)
    pen.oval(0.06, 0.245, 0.075, 0.026, hair)


def _goatee(pen: Pen, hair: Colour) -> None:
    _moustache(pen, hair)
    pen.oval(0, 0.43, 0.1, 0.09, hair)


def _beard(pen: Pen, hair: Colour) -> None:
    pen.slice(0, 0.2, 0.385, 0.42, 10, 170, shade(hair, 0.92))
    _moustache(pen, shade(hair, 0.92))
    pen.bow(0, 0.27, 0.09, 0.06, 20, 160, (190, 90, 92), 0.026)


Stroke = Callable[[Pen, Colour], None]
STYLES: Final[dict[str, tuple[Stroke, Stroke]]] = {
    "long": (_long, _parting),
    "long fringe": (_long, _fringe),
    "bob": (_bob, _fringe),
    "bun": (_bun, _parting),
    "short": (_short, _fringe),
    "curls": (_curls, _fringe),
    "bald": (_bald, _bald),
}
BEARDS: Final[dict[str, Stroke]] = {
    "none": _bald,
    "stubble": _stubble,
    "moustache": _moustache,
    "goatee": _goatee,
    "beard": _beard,
}
