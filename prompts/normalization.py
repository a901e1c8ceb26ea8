"""Normalisation of text for comparison: lower case, no accents, no look-alikes, nothing invisible."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from confusable_homoglyphs import confusables

_REMEMBERED: Final = 1_000
"""Maximum length of a text whose result is cached."""
MAX_EXPANSION: Final = 4
"""Maximum number of characters that one character may become. NFKC alone allows 18."""

_STROKES = str.maketrans("ıłøđħŧðĸεικυχнкт", "ilodhtdkeikuxhkt")
_NAMED = re.compile(
    r".*LATIN (?:(?:SMALL|CAPITAL) LETTER|LETTER SMALL CAPITAL) ([A-Z])(?: WITH .*)?"
    r"|REGIONAL INDICATOR SYMBOL LETTER ([A-Z])"
)
"""Letters in circles and squares and small capitals, which Unicode's normal forms keep."""
_RARE_SCRIPTS = (
    *("LISU", "CANADIAN SYLLABICS", "TIFINAGH", "RUNIC", "OLD ITALIC", "GOTHIC", "CARIAN", "LYCIAN"),
    *("LYDIAN", "OSAGE", "DESERET", "ELBASAN", "WARANG CITI"),
)
_LOOKALIKE_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", *_RARE_SCRIPTS)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_OVERLAY, _LOWEST_ACCENT = 1, 10
"""Canonical combining classes. Classes between them are vowel signs and voicing marks, which are kept."""


@dataclass(frozen=True)
class NormalizedText:
    """A normalised text, and the position of each of its characters in `source`."""

    text: str
    source: str
    """The original text in Unicode's normal form C."""

    @property
    def starts(self) -> Sequence[int]:
        """Start of each character in `source`."""
        return self._places[0]

    @property
    def ends(self) -> Sequence[int]:
        """End of each character in `source`, after invisible characters that follow it."""
        return self._places[1]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of `source` that became `text[start:end]`."""
        return (self.starts[start], self.ends[end - 1]) if end > start else (0, 0)

    @cached_property
    def _places(self) -> tuple[Sequence[int], Sequence[int]]:
        """Starts and ends. They are computed only when a match needs them."""
        if len(self.text) == len(self.source) and self.source.isascii():
            return range(len(self.text)), range(1, len(self.text) + 1)
        starts: list[int] = []
        ends: list[int] = []
        for at, character in enumerate(self.source):
            size = len(_LETTERS[ord(character)])
            starts += [at] * size
            ends += [at + 1] * size
            if ends:
                ends[-1] = at + 1
        return starts, ends


def is_invisible(character: str) -> bool:
    """Return whether a character is invisible: zero-width, soft hyphen or blank filler."""
    return character in _INVISIBLE or unicodedata.category(character) == "Cf"


def normalize(text: str) -> NormalizedText:
    """Normalise a text for comparison: `Ｎ\u200bÚDE` becomes `nude`, `１７½` becomes `17.5`.

    Takes linear time. One character becomes at most `MAX_EXPANSION` characters.
    """
    return _normalize(text) if len(text) <= _REMEMBERED else _normalize.__wrapped__(text)


@lru_cache(maxsize=1024)
def _normalize(text: str) -> NormalizedText:
    if text.isascii():
        return NormalizedText(text.lower(), text)
    source = text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
    return NormalizedText(source.translate(_LETTERS), source)


class _Letters(dict[int, str]):
    """Cache of the normalised form of each character, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        normalized = self[code] = _normalized_character(chr(code))[:MAX_EXPANSION]
        return normalized


_LETTERS: Final = _Letters()


def _normalized_character(character: str) -> str:
    if is_invisible(character) or _is_accent(character):
        return ""
    if character.isnumeric() and not character.isascii() and not _is_roman(character):
        return _number(character)
    if unicodedata.category(character) == "Lo" and not _may_be_latin(character):
        return character
    compatible = unicodedata.normalize("NFKC", _confused(character)).casefold()
    plain = unicodedata.normalize("NFKD", _lookalike(compatible)).casefold()
    letters = "".join(part for part in plain if not _is_accent(part) and not is_invisible(part))
    return _lookalike(letters)


def _may_be_latin(letter: str) -> bool:
    """Return whether a letter without case may replace Latin ones: `ª`, or the Lisu letter like C."""
    compatible = unicodedata.decomposition(letter).startswith("<")
    return compatible or unicodedata.name(letter, "").startswith(_RARE_SCRIPTS)


def _is_accent(character: str) -> bool:
    """Return whether a character is a mark on another: an accent, a vowel point, an enclosing sign."""
    category = unicodedata.category(character)
    kind = unicodedata.combining(character)
    if category == "Me" or kind == _OVERLAY or kind >= _LOWEST_ACCENT:
        return True
    return 0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF or category == "Sk"


def _is_roman(character: str) -> bool:
    return 0x2160 <= ord(character) <= 0x217F


def _lookalike(letters: str) -> str:
    """Replace letters with the ASCII letters that look alike, by Unicode's confusables."""
    if letters.isascii():
        return letters
    return "".join(map(_confused, letters)).translate(_STROKES)


@lru_cache(maxsize=4096)
def _confused(letter: str) -> str:
    name = unicodedata.name(letter, "")
    if letter.isascii() or unicodedata.category(letter).startswith("M"):
        return letter
    if named := _NAMED.fullmatch(name):
        return (named[1] or named[2]).lower()
    if not name.startswith(_LOOKALIKE_SCRIPTS):
        return letter
    alike = (known["c"] for known in confusables.confusables_data.get(letter, ()))
    return next((other.lower() for other in alike if other.isascii() and other.isalpha()), letter)


def _number(character: str) -> str:
    """Convert digits of any script to ASCII and `½` to `.5`. Ideographic numbers are kept."""
    if unicodedata.category(character) == "Lo":
        return unicodedata.normalize("NFKC", character)
    value = unicodedata.numeric(character)
    return f"{value:g}".removeprefix("0") if 0 < value < 1 else f"{value:g}"
