"""Correction of misspelled and disguised key words: `yers`, `sixten`, `lttle`, `g1rl`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from prompts.respelling import Rewritten, rewrite

_WORD = re.compile(r"\w+")
_MIXED = re.compile(r"(?=\w*\d)(?=\w*[^\W\d_])")
_LEET: Final = tuple(str.maketrans("013457", f"o{one}east") for one in "il")
_SHORTEST, _LONGEST = 3, 24
_FREELY: Final = 5
"""Minimum length of a word in which a letter may be wrong or extra."""


@dataclass(frozen=True, eq=False, slots=True)
class Corrections:
    """Key words, and words that must not be corrected."""

    disguised: frozenset[str]
    """Words that are recognised with digits for letters."""
    known: frozenset[str]
    slips: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key words, by themselves and by their forms without one letter."""


def compile_corrections(
    misspelled: Iterable[str], disguised: Iterable[str], known: Iterable[str]
) -> Corrections:
    """Compile words for `correct`."""
    slips: dict[str, tuple[str, ...]] = {}
    words = sorted(set(misspelled))
    for word in words:
        for rest in {word, *_without_one(word)}:
            slips[rest] = (*slips.get(rest, ()), word)
    return Corrections(frozenset({*disguised, *words}), frozenset({*known, *words}), slips)


def correct(text: str, corrections: Corrections) -> Rewritten | None:
    """Return the text with corrected key words, or None if there is nothing to correct."""
    instead = {word: right for word in set(_WORD.findall(text)) if (right := _corrected(word, corrections))}
    if not instead:
        return None
    words = (match for match in _WORD.finditer(text) if match.group() in instead)
    return rewrite(text, [(*match.span(), instead[match.group()]) for match in words])


@lru_cache(maxsize=8192)
def _corrected(word: str, corrections: Corrections) -> str | None:
    if not _SHORTEST <= len(word) <= _LONGEST or word in corrections.known or word.isdigit():
        return None
    if not word.isalpha():
        if not _MIXED.match(word):
            return None
        plain = (word.translate(letters) for letters in _LEET)
        return next((one for one in plain if one in corrections.disguised), None)
    for rest in (word, *_without_one(word)):
        for right in corrections.slips.get(rest, ()):
            if _is_slip(word, right):
                return right
    return None


def _without_one(word: str) -> Iterator[str]:
    """Yield the word without one letter, for each letter but the first."""
    return (word[:at] + word[at + 1 :] for at in range(1, len(word)))


def _is_slip(word: str, right: str) -> bool:
    """Return whether one letter is missing, doubled or swapped, or, in a longer word, wrong or extra."""
    if word[0] != right[0]:
        return False
    if len(word) < len(right):
        return word in _without_one(right)
    if len(word) > len(right):
        extra = (at for at in range(1, len(word)) if word[:at] + word[at + 1 :] == right)
        return any(len(right) >= _FREELY or word[at] == word[at - 1] for at in extra)
    wrong = [at for at, (one, other) in enumerate(zip(word, right, strict=True)) if one != other]
    if len(wrong) == 1:
        return len(right) >= _FREELY
    return len(wrong) == 2 and word[wrong[0] : wrong[1] + 1] == right[wrong[0] : wrong[1] + 1][::-1]
