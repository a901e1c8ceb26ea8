"""Views of a normalised text: words between single spaces, as they are and without disguises."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Final

CLAUSE_END: Final = ","
"""Word in a plain view that replaces every sign that ends a clause."""

_HARD_SIGNS = frozenset(',;:!?()[]{}"“”„«»…。、،؛؟।|*')
_POINT, _NOTHING = "\x1e", "\x1f"
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<=\d)[.,](?=\d)")
_FULL_STOP = re.compile(r"\.(?=\s|$)")
_MARKS_ON_LATIN = re.compile(r"(?<=[a-z])[^\x00-\x7f\W]*[^\x00-\x7f\w\s\u2000-\u2fff]+(?=[a-z])")
_TRAILING = re.compile(r"[!|+]+(?![a-z0-9@$])")
_REPEATED = re.compile(r"([^\W\d_])\1+")
_DISGUISED = re.compile(
    r"[^\W\d_][013457@$!|+]|[013457@$!|+][^\W\d_]"  # t33n
    r"|\w[^\w\s]+\w|_"  # te-en
    r"|(?<!\w)\w[\W_]{1,3}\w(?!\w)"  # t e e n
    r"|([^\W\d_])\1"  # teeen
)
_LEET: Final = dict(zip("4@305$7+1!|l", "aaeossttiiii", strict=True))


@dataclass(frozen=True)
class View:
    """A text as words between single spaces, with a space at the start and at the end."""

    text: str
    prepared: str
    """The text before the words were separated. It is as long as the normalised text."""
    table: Mapping[int, str]
    raw: str = ""
    """The same words with repeated letters."""

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the normalised text that became `text[start:end]`."""
        firsts, lasts = self._traced
        return firsts[start], lasts[end - 1] + 1

    def matches(self, start: int, spelled: str) -> bool:
        """Return whether the word at a position, with its repeated letters, matches a pattern."""
        words, raw = self._starts
        return _pattern(spelled).match(self.raw, raw[bisect_right(words, start) - 1]) is not None

    @cached_property
    def _starts(self) -> tuple[list[int], list[int]]:
        """Start of each word in `text` and in `raw`."""
        words, raw = (
            accumulate(map(len, text.split(" ")[1:]), lambda at, size: at + size + 1, initial=1)
            for text in (self.text, self.raw)
        )
        return list(words), list(raw)

    @cached_property
    def _traced(self) -> tuple[list[int], list[int]]:
        """Starts and ends in `prepared`. They are computed only when a match needs them."""
        firsts, lasts = [0], [0]
        signs = ((sign, at) for at, old in enumerate(self.prepared) for sign in self.table[ord(old)])
        for sign in self.text[1:-1]:
            for old, place in signs:
                if old == sign:
                    firsts.append(place)
                    lasts.append(place)
                    break
                if old != " ":
                    lasts[-1] = place
        for old, place in signs:
            if old == " ":
                break
            lasts[-1] = place
        for ends in (firsts, lasts):
            ends.append(len(self.prepared))
        return firsts, lasts


class _Table(dict[int, str]):
    """Cache of the replacement of each normalised character in a view."""

    def __init__(self, hard: str, soft: str, letters: Mapping[str, str]) -> None:
        self._hard = hard
        self._soft = soft
        special = {_NOTHING: "", _POINT: "." if hard.strip() else soft}
        super().__init__({ord(sign): letter for sign, letter in {**letters, **special}.items()})

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        category = unicodedata.category(sign)
        if category[0] in "LMN":
            became = sign
        elif category == "So":
            became = f" {sign} "
        elif sign.isspace():
            became = " "
        else:
            became = self._hard if sign in _HARD_SIGNS else self._soft
        self[code] = became
        return became


_PLAIN = _Table(f" {CLAUSE_END} ", " ", {})
_GLUED = _Table("", "", _LEET)
_APART = _Table(" ", " ", _LEET)


@lru_cache(maxsize=8)
def plain_view(normalized: str) -> View:
    """Return the words and clause ends of a text: `A girl (16)` becomes ` a girl , 16 , `."""
    prepared = _without_marks(normalized)
    if "." in prepared or "," in prepared:
        prepared = _DECIMAL.sub(_POINT, _GROUPED.sub(_NOTHING, prepared))
        prepared = _FULL_STOP.sub(CLAUSE_END, prepared)
    return View(_spaced(prepared.translate(_PLAIN)), prepared, _PLAIN)


@lru_cache(maxsize=8)
def disguised_views(normalized: str) -> tuple[View, ...]:
    """Return the words that signs, digits and repeated letters may hide, with and without gaps.

    `t.3.3.n` becomes ` ten ` and ` t e e n `: digits become letters, and repeated letters become one.
    """
    if not _DISGUISED.search(normalized):
        return ()
    prepared = _TRAILING.sub(lambda signs: " " * len(signs.group()), _without_marks(normalized))
    raws = ((_spaced(prepared.translate(table)), table) for table in (_GLUED, _APART))
    return tuple(View(_REPEATED.sub(_once, raw), prepared, table, raw) for raw, table in raws)


def without_repeats(word: str) -> str:
    """Replace repeated letters with one: the spelling of disguised views for a word without digits."""
    return _REPEATED.sub(_once, word)


def without_leet(word: str) -> str:
    """Replace the leet digits of a normalised word with letters."""
    return word.translate(_APART)


@lru_cache(maxsize=4096)
def _pattern(word: str) -> re.Pattern[str]:
    """Return the pattern for the spellings of a word in `View.raw`: each letter as often as in it, or more.

    It is made when a text first needs it: a vocabulary has tens of thousands of words.
    """
    runs = re.finditer(r"([^\W\d_])\1*|.", word)
    return re.compile("".join(f"{re.escape(run[0][0])}{{{len(run[0])},}}" for run in runs))


def _once(run: re.Match[str]) -> str:
    return run[1]


def _spaced(text: str) -> str:
    return f" {' '.join(text.split())} "


def _without_marks(normalized: str) -> str:
    if normalized.isascii():
        return normalized
    return _MARKS_ON_LATIN.sub(lambda marks: _NOTHING * len(marks.group()), normalized)
