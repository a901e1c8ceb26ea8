"""Normalisation of unusual numbers, units and limits: `girl16`, `16 y e a r s`, `14-16`, `<18`."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

TO: Final = "¦"
"""Replacement for the dash of a range. It becomes a separate word in a plain view."""

Edit = tuple[int, int, str]
"""Start and end of a span, and its replacement."""

_LONGEST_FIRST = 6
"""Maximum length of a match of `_FIRST`."""
_LEAST_SPACED = 5
"""Minimum length of a spaced word: three letters with separators."""
_BESIDE_DIGIT = re.compile(
    r"(?<=[^\W\d_]{3})(?=\d{1,2}(?!\w))"  # girl16
    r"|(?<=\d)[-\u2010-\u2015~](?=\d)"  # 14-16
    r"|[<≤≦⩽] ?=? ?(?=(?:1[0-8]|[4-9])(?!\d))"  # <18, but not <3
    r"|(?<!\w)u[ \-]?(?=(?:1[0-8]|[6-9])(?!\w))"  # U18
    r"|(?<=\d) (?=\.\d)"  # 16 ¾, which is 16 .75 here
)
_SINGLE = re.compile(r"[ ._*\-][^\W\d_](?:[ ._*\-][^\W\d_])+(?!\w)")
_FIRST = re.compile(r"(?<!\w)(?:\d[ ._*\-]){0,2}[^\W_]$")
"""Pattern of the text before a match of `_SINGLE`: `1 6 y`."""
_DIGITS = re.compile("[0-9]+")
_AROUND = 5
"""Number of characters around the start of a number that `_BESIDE_DIGIT` may match."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A span of the new text, and the span of the old text that it replaces."""

    at: int
    start: int
    end: int
    stride: int
    """Characters of the old text per character of the new one."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text after the replacement of spans."""

    text: str
    parts: tuple[_Part, ...] = ()

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the old text that became `text[start:end]`."""
        return self._old(start), self._old(end - 1) + 1

    def _old(self, place: int) -> int:
        if not self.parts:
            return place
        part = self.parts[bisect_right(self.parts, place, key=lambda part: part.at) - 1]
        return min(part.start + part.stride * (place - part.at), max(part.end - 1, part.start))


def rewrite(text: str, edits: Iterable[Edit], stride: int = 1) -> Rewritten:
    """Replace spans of a text. They must be in order and must not overlap."""
    pieces: list[str] = []
    parts: list[_Part] = []
    size = last = 0
    for start, end, instead in (*edits, (len(text), len(text), "")):
        parts += _Part(size, last, start, 1), _Part(size + start - last, start, end, stride)
        pieces += text[last:start], instead
        size += start - last + len(instead)
        last = end
    return Rewritten("".join(pieces), tuple(parts))


def respell(normalized: str) -> Rewritten:
    """Add spaces before joined digits and remove spaces between spaced letters."""
    edits = list(_spaced(normalized))
    if beside := set(_beside_digits(normalized)):
        edits = _without_overlaps([*edits, *beside])
    return rewrite(normalized, edits, stride=2) if edits else Rewritten(normalized)


def _beside_digits(text: str) -> Iterator[Edit]:
    """Yield the edits right before numbers; nothing else of the text is examined."""
    for digits in _DIGITS.finditer(text):
        start = digits.start()
        found = _BESIDE_DIGIT.search(text, max(start - _AROUND, 0), start + _AROUND)
        if found:
            yield *found.span(), _instead(found.group())


def _instead(sign: str) -> str:
    if sign.startswith(("<", "≤", "≦", "⩽", "u")):
        return " under "
    return {"": " ", " ": ""}.get(sign, TO)


def _spaced(text: str) -> Iterator[Edit]:
    """Yield the edits of spaced words with up to two digits: `1 6 y e a r s` becomes `16years`."""
    for match in _SINGLE.finditer(text):
        start, end = match.span()
        least = max(start - _LONGEST_FIRST, 0)
        first = _FIRST.search(text, least, start)
        begin = first.start() if first else start + 1
        if end - begin >= _LEAST_SPACED:
            yield begin, end, text[begin:end:2]


def _without_overlaps(edits: list[Edit]) -> list[Edit]:
    """Return the edits in order, without those that start inside another."""
    kept: list[Edit] = []
    for edit in sorted(edits):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept
