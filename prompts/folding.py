"""Text as a reader sees it: one case, no accents, no look-alikes, nothing invisible."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_LOOKALIKES = str.maketrans(
    "аеосрхуіјѕһкмтвԁԛԝαεορτκυιχνıłøđ",
    "aeocpxyijshkmtbdqwaeoptkuixvilod",
)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_STRETCHED = re.compile(r"([^\W\d_])\1\1")


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text, and where each of its characters stood in the original."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that became `text[start:end]`."""
        return (self.starts[start], self.ends[end - 1]) if end > start else (0, 0)


def is_invisible(character: str) -> bool:
    """Whether a character shows nothing at all: zero-width, soft hyphen, blank filler."""
    return character in _INVISIBLE or unicodedata.category(character) == "Cf"


@lru_cache(maxsize=512)
def fold(text: str) -> Folded:
    """The text for comparing: `Ｎ\u200bÚDEEEE` becomes `nudee`, `１７½` becomes `17.5`."""
    if text.isascii() and not _STRETCHED.search(lowered := text.lower()):
        return Folded(lowered, range(len(text)), range(1, len(text) + 1))
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for at, original in enumerate(text):
        for letter in _folded(original):
            if letter.isalpha() and letters[-2:] == [letter, letter]:
                continue
            letters.append(letter)
            starts.append(at)
            ends.append(at + 1)
        if ends:  # what folds to nothing belongs to the character before it
            ends[-1] = at + 1
    return Folded("".join(letters), starts, ends)


def _folded(character: str) -> str:
    if is_invisible(character):
        return ""
    if character.isnumeric() and not character.isascii():
        return _number(character)
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    letters = (part for part in plain if not unicodedata.category(part).startswith("M"))
    return "".join(letters).translate(_LOOKALIKES)


def _number(character: str) -> str:
    """Digits of any script as ASCII; `½` as `.5`; ideographic numbers as they are."""
    if unicodedata.category(character) == "Lo":
        return character
    value = unicodedata.numeric(character)
    return f"{value:g}".removeprefix("0") if 0 < value < 1 else f"{value:g}"
