"""Cost and length of a text's normal form (NFKC), found in time linear in the text's length."""

import re
import unicodedata
from functools import cache
from typing import Final

from pydantic_core import PydanticCustomError

MOST_MARKS: Final = 30
"""Combining marks on one character, as Unicode's Stream-Safe Text Format allows (UAX #15). Sorting
longer runs takes time that grows with the square of their length."""
_PLANES: Final = 0x1F000
"""Combining marks lie below."""


@cache
def _too_many_marks(last: int) -> re.Pattern[str]:
    marks = "".join(map(re.escape, filter(unicodedata.combining, map(chr, range(last)))))
    return re.compile(f"[{marks}]{{{MOST_MARKS + 1}}}")


def has_too_many_marks(text: str) -> bool:
    """Return whether a character of the text carries more marks than any script needs."""
    if text.isascii():
        return False
    last = _PLANES if max(text) > "\uffff" else 0x10000  # the smaller set is searched ten times faster
    return _too_many_marks(last).search(text) is not None


def refuse_marks(text: str) -> None:
    """Raise PydanticCustomError when a character carries too many marks."""
    if not text.isascii() and not unicodedata.is_normalized("NFKC", text) and has_too_many_marks(text):
        raise PydanticCustomError(
            "combining_marks", "at most {most} combining marks on one character", {"most": MOST_MARKS}
        )


def normalized_length(text: str) -> int:
    """Return how many characters a text has once it is normalised.

    Raises:
        PydanticCustomError: when a character carries too many marks.
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return len(text)
    refuse_marks(text)
    return len(unicodedata.normalize("NFKC", text))
