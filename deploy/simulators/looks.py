"""Looks of a person from the words of a prompt, so that the drawing does not contradict its prompt.

Looks are encoded in eight hexadecimal digits, which the watermark of a picture passes on to pictures drawn
from it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from deploy.simulators.palette import SKINS, Colour

T = TypeVar("T")

HAIRS: Final[dict[str, Colour]] = {
    "black": (34, 28, 32), "dark brown": (66, 42, 32), "brown": (104, 66, 42), "light brown": (148, 102, 66),
    "auburn": (140, 54, 32), "copper red": (190, 86, 42), "strawberry blonde": (222, 150, 100),
    "blonde": (228, 190, 110), "platinum blonde": (242, 230, 200), "grey": (140, 142, 148),
    "silver": (192, 196, 204), "white": (240, 240, 240), "pink": (242, 130, 178), "blue": (62, 106, 214),
    "purple": (130, 72, 178), "red": (186, 46, 36), "green": (64, 152, 88), "orange": (236, 124, 40),
    "teal": (40, 150, 150),
}  # fmt: skip
EYES: Final[dict[str, Colour]] = {
    "brown": (112, 68, 38), "dark brown": (70, 42, 28), "amber": (200, 130, 40), "hazel": (140, 110, 52),
    "green": (58, 140, 82), "blue": (54, 110, 200), "light blue": (112, 176, 226), "grey": (128, 138, 148),
    "violet": (128, 82, 180), "black": (30, 24, 26),
}  # fmt: skip
SKIN_WORDS: Final = {
    "pale": 0, "porcelain": 0, "fair": 0, "white": 0, "light": 1, "medium": 2, "olive": 2, "golden": 2,
    "tan": 3, "tanned": 3, "bronze": 3, "brown": 4, "dark": 5, "deep": 5, "black": 5, "ebony": 5,
}  # fmt: skip
ALIASES: Final = {
    "blond": "blonde", "golden": "blonde", "gold": "blonde", "gray": "grey", "ginger": "copper red",
    "copper": "copper red", "redhead": "copper red", "platinum": "platinum blonde", "brunette": "brown",
    "chestnut": "auburn", "dark": "dark brown", "raven": "black", "lavender": "purple", "violet": "purple",
    "turquoise": "teal", "dark blonde": "light brown", "light blonde": "blonde", "jet black": "black",
}  # fmt: skip
STYLES: Final = ("long", "long fringe", "bob", "bun", "short", "curls", "bald")
STYLE_WORDS: Final = {
    "bald": "bald", "shaved": "bald", "bun": "bun", "buns": "bun", "ponytail": "bun", "updo": "bun",
    "bob": "bob", "chin-length": "bob", "shoulder-length": "bob", "pixie": "short", "undercut": "short",
    "curly": "curls", "curls": "curls", "coily": "curls", "afro": "curls", "ringlets": "curls",
    "short": "short", "cropped": "short", "bangs": "long fringe", "fringe": "long fringe", "long": "long",
    "braids": "long", "dreadlocks": "long", "wavy": "long",
}  # fmt: skip
BEARDS: Final = ("none", "stubble", "moustache", "goatee", "beard")
BEARD_WORDS: Final = {
    "stubble": "stubble", "moustache": "moustache", "mustache": "moustache", "goatee": "goatee",
    "beard": "beard", "bearded": "beard",
}  # fmt: skip
MEN: Final = ("short", "short", "curls")
WOMEN: Final = ("long", "long fringe", "bob", "bun", "curls")
_PERSON: Final = re.compile(r"\b(?:(?P<man>man|male|gentleman|guy)|(?P<woman>woman|female|lady))\b")
_HAIR_NOUN: Final = (
    r"(?:hair|ponytail|buns?|bob|braids|afro|dreadlocks|curls|ringlets|updo|bangs|pixie cut|undercut|head)"
)
_PHRASE: Final = r"(?P<words>(?:[\w-]+ ){0,6})"
_HAIR: Final = re.compile(rf"\b{_PHRASE}{_HAIR_NOUN}\b")
_EYES: Final = re.compile(rf"\b{_PHRASE}eyes?\b")
_SKIN: Final = re.compile(rf"\b{_PHRASE}(?:skin|complexion)\b")
_WEIGHTS: Final = re.compile(r"[()]|:\d*\.?\d+")
_GLASSES: Final = re.compile(r"(?<!wine )\bglasses\b")
_NOUNS: Final = re.compile(r"\b(blonde?|brunette|redhead)\b")
_GAPS: Final = re.compile(r"\b(?:with|and|has|have|having|his|her|their|of|in|a|an|the)\b")


@dataclass(frozen=True)
class Looks:
    hair: Colour
    style: str
    eyes: Colour
    skin: Colour
    beard: str
    glasses: bool

    @classmethod
    def of(cls, prompt: str, rng: Random, known: "Looks | None" = None) -> "Looks":
        """Return the looks in a prompt; unnamed ones come from the known person, else from chance."""
        text = _WEIGHTS.sub("", prompt.lower())
        person = _PERSON.search(text)
        is_man = person is not None and person["man"] is not None
        is_woman = person is not None and person["woman"] is not None
        styles = MEN if is_man else WOMEN if is_woman else STYLES[:-1]
        chance = cls(
            hair=rng.choice(tuple(HAIRS.values())[:8]),
            style=rng.choice(styles),
            eyes=rng.choice(tuple(EYES.values())[:7]),
            skin=rng.choice(SKINS),
            beard="none",
            glasses=rng.random() < 0.2,
        )
        other = known or chance
        return cls(
            hair=_named(_HAIR, text, HAIRS) or _hair_of_a_noun(text) or other.hair,
            style=_style(text) or other.style,
            eyes=_named(_EYES, text, EYES) or other.eyes,
            skin=_skin(text) or other.skin,
            beard=_found(text, BEARD_WORDS) or other.beard,
            glasses=bool(_GLASSES.search(text)) or other.glasses,
        )

    def code(self) -> str:
        """Return the looks as eight hexadecimal digits."""
        places = (
            _index(HAIRS.values(), self.hair), STYLES.index(self.style), _index(EYES.values(), self.eyes),
            _index(SKINS, self.skin) + 16 * BEARDS.index(self.beard) + 128 * self.glasses,
        )  # fmt: skip
        return bytes(places).hex()

    @classmethod
    def from_code(cls, code: str) -> "Looks | None":
        """Decode looks, or return None for other digits."""
        hair, style, eyes, rest = bytes.fromhex(code)
        try:
            return cls(
                tuple(HAIRS.values())[hair],
                STYLES[style],
                tuple(EYES.values())[eyes],
                SKINS[rest % 16],
                BEARDS[rest % 128 // 16],
                rest >= 128,
            )
        except IndexError:
            return None


def without_looks(prompt: str) -> str:
    """Return the prompt without the words about a person's colours, which do not colour the background."""
    text = _WEIGHTS.sub("", prompt.lower())
    for pattern in (_HAIR, _EYES, _SKIN):
        text = pattern.sub(" ", text)
    return text


def _named(pattern: re.Pattern[str], text: str, colours: Mapping[str, Colour]) -> Colour | None:
    """Return the colour in front of a noun: `dark brown` for hair in `green eyes and dark brown hair`."""
    for match in pattern.finditer(text):
        words = _GAPS.split(match["words"])[-1].split()
        for length in (2, 1):
            for start in range(len(words) - length, -1, -1):
                name = " ".join(words[start : start + length])
                name = name if name in colours else ALIASES.get(name, name)
                if name in colours:
                    return colours[name]
    return None


def _hair_of_a_noun(text: str) -> Colour | None:
    """Return the hair colour in nouns such as `a blonde woman` or `a redhead`."""
    found = _NOUNS.search(text)
    return HAIRS[ALIASES.get(found[1], found[1])] if found else None


def _style(text: str) -> str | None:
    if re.search(r"\bbald\b", text):
        return "bald"
    for match in _HAIR.finditer(text):
        phrase = _GAPS.split(match[0])[-1]
        if found := _found(phrase, STYLE_WORDS):
            return found
    return None


def _skin(text: str) -> Colour | None:
    for match in _SKIN.finditer(text):
        words = [word for word in match["words"].split() if word in SKIN_WORDS]
        if words:
            return SKINS[SKIN_WORDS[words[0]]]
    return None


def _found(text: str, meanings: Mapping[str, str]) -> str | None:
    words = re.findall(r"[\w-]+", text)
    return next((meanings[word] for word in words if word in meanings), None)


def _index(values: Iterable[T], value: T) -> int:
    return list(values).index(value)
