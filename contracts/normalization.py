"""Limits on the normal form (NFKC) of texts, checked in linear time."""

import re
import unicodedata
from functools import cache
from typing import Final

from pydantic_core import PydanticCustomError

MOST_MARKS: Final = 30
"""Maximum number of combining marks on one character, as in Unicode's Stream-Safe Text Format (UAX #15).
Normalising longer runs takes quadratic time."""
_PLANES: Final = 0x1F000
"""Upper bound of the code points of combining marks."""


@cache
def _too_many_marks(last: int) -> re.Pattern[str]:
    marks = "".join(map(re.escape, filter(unicodedata.combining, map(chr, range(last)))))
    return re.compile(f"[{marks}]{{{MOST_MARKS + 1}}}")


def has_too_many_marks(text: str) -> bool:
    """Return whether a character of the text has more than `MOST_MARKS` combining marks."""
    if text.isascii():
        return False
    last = _PLANES if max(text) > "\uffff" else 0x10000  # the smaller set is searched ten times faster
    return _too_many_marks(last).search(text) is not None


def refuse_marks(text: str) -> None:
    """Refuse a text with too many combining marks on one character.

    Raises:
        PydanticCustomError: with code `combining_marks`.
    """
    if not text.isascii() and not unicodedata.is_normalized("NFKC", text) and has_too_many_marks(text):
        raise PydanticCustomError(
            "combining_marks",
            "must have at most {most} combining marks on one character",
            {"most": MOST_MARKS},
        )


def normalized_length(text: str) -> int:
    """Return the number of characters of a text after NFKC normalisation.

    Raises:
        PydanticCustomError: if a character has too many combining marks.
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return len(text)
    refuse_marks(text)
    return len(unicodedata.normalize("NFKC", text))
