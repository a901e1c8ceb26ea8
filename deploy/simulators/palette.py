"""Colours from the words of a prompt: "a golden evening" is gold, other prompts get a seeded hue."""

import re
from colorsys import hls_to_rgb
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from PIL import ImageColor

Colour = tuple[int, int, int]

HUES: Final = {
    "red": 0.99, "crimson": 0.97, "rose": 0.94, "pink": 0.92, "orange": 0.07, "sunset": 0.05,
    "amber": 0.10, "gold": 0.12, "golden": 0.12, "desert": 0.10, "yellow": 0.14, "lime": 0.24,
    "green": 0.36, "forest": 0.37, "jungle": 0.34, "mint": 0.43, "teal": 0.48, "ocean": 0.54,
    "sea": 0.53, "cyan": 0.50, "sky": 0.57, "blue": 0.60, "night": 0.66, "indigo": 0.70,
    "violet": 0.75, "purple": 0.77, "magenta": 0.85, "neon": 0.83, "winter": 0.55, "autumn": 0.06,
}  # fmt: skip
SKINS: Final[tuple[Colour, ...]] = (
    (255, 219, 190), (244, 200, 164), (229, 177, 134), (198, 138, 96), (150, 98, 66), (104, 67, 48),
)  # fmt: skip
GARMENTS: Final = re.compile(
    r"\b((?:[a-z]+ ){1,2})(?:raincoat|coat|dress|gown|shirt|blouse|top|sweater|jumper|hoodie|jacket"
    r"|t-shirt|blazer|suit|cardigan|kimono|uniform|pullover|turtleneck|bikini|swimsuit)\b"
)


@dataclass(frozen=True)
class Palette:
    """Colours of a picture: four corners of the background, accents for shapes, and contrasting clothes."""

    corners: tuple[Colour, Colour, Colour, Colour]
    accents: tuple[Colour, ...]
    clothes: Colour
    halo: Colour

    @classmethod
    def of(cls, prompt: str, rng: Random) -> "Palette":
        words = re.findall(r"[a-z]+", prompt.lower())
        named = [HUES[word] for word in words if word in HUES]
        hue = named[0] if named else rng.random()
        other = named[1] if len(named) > 1 else hue + rng.choice((0.08, -0.1, 0.16, 0.45))
        return cls(
            corners=(
                tint(hue, 0.66, 0.72),
                tint(other, 0.74, 0.70),
                tint(hue - 0.04, 0.42, 0.58),
                tint(other + 0.05, 0.36, 0.56),
            ),
            accents=(tint(hue, 0.80, 0.85), tint(other, 0.58, 0.80), tint(other + 0.5, 0.72, 0.7)),
            clothes=_clothes(prompt.lower()) or tint(other + 0.5, 0.44, 0.55),
            halo=tint(hue + 0.03, 0.87, 0.80),
        )


def _clothes(prompt: str) -> Colour | None:
    """Return the colour of `a yellow raincoat` or of `a black leather jacket`, by its CSS name."""
    for match in GARMENTS.finditer(prompt):
        for word in reversed(match[1].split()):
            with suppress(ValueError):
                red, green, blue = ImageColor.getrgb(word)[:3]
                return red, green, blue
    return None


def tint(hue: float, light: float, saturation: float) -> Colour:
    red, green, blue = hls_to_rgb(hue % 1.0, light, saturation)
    return int(red * 255), int(green * 255), int(blue * 255)


def shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (max(0, min(255, int(part * factor))) for part in colour)
    return red, green, blue
