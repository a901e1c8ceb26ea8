"""Numbers and units that are glued or spaced, written as usual: `girl16`, `16 y e a r s`, `14-16`."""

import re
from collections.abc import Sequence
from typing import Final

_GLUED = re.compile(r"(?<=[^\W\d_]{3})(?=\d{1,2}(?!\w))")
_SPACED = re.compile(r"(?<!\w)[^\W\d_](?:[ ._*\-][^\W\d_]){2,}(?!\w)")

_DASHED = re.compile(r"(?<=\d)[-\u2010-\u2015~](?=\d)")
TO: Final = "¦"
"""Stands for the dash of a range; in a plain view it is a word of its own."""


def respell(normalized: str) -> tuple[str, Sequence[int]]:
    """The text with a space before glued digits and none between spaced letters.

    The second value is the place in the original of each of its characters.
    """
    spaced = [match.span() for match in _SPACED.finditer(normalized)]
    glued = {match.start() for match in _GLUED.finditer(normalized)}
    dashes = {match.start() for match in _DASHED.finditer(normalized)}
    if not spaced and not glued and not dashes:
        return normalized, range(len(normalized))
    dropped = {at for start, end in spaced for at in range(start + 1, end, 2)}
    signs: list[str] = []
    places: list[int] = []
    for at, sign in enumerate(normalized):
        if at in glued:
            signs.append(" ")
            places.append(at)
        if at not in dropped:
            signs.append(TO if at in dashes else sign)
            places.append(at)
    return "".join(signs), places
