"""Explicit wording: found, and taken out of a text."""

import re
from dataclasses import dataclass
from functools import lru_cache

from prompts.folding import fold
from prompts.vocabulary import Vocabulary

_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Removal:
    """A text without certain words, and the words it had."""

    text: str
    words: tuple[str, ...] = ()


def find_explicit(text: str, vocabulary: Vocabulary) -> str | None:
    """The first of the vocabulary's words in the text, as it is written there."""
    folded = fold(text)
    for match in vocabulary.find(folded):
        start, end = folded.origin(*match.span())
        return text[start:end]
    return None


@lru_cache(maxsize=1024)
def remove_words(text: str, vocabulary: Vocabulary) -> Removal:
    """The text without the vocabulary's words, until none is left, also none that only then arose.

    A text that hides words within words more than eight deep is not worth keeping.
    """
    words: list[str] = []
    for _ in range(_DEPTH):
        folded = fold(text)
        matches = list(vocabulary.find(folded))
        if not matches:
            return Removal(text, tuple(dict.fromkeys(words)))
        words += [word for match in matches if (word := _plain(match.group()))]
        for match in reversed(matches):
            start, end = folded.origin(*match.span())
            text = f"{text[:start]} {text[end:]}"
    return Removal("", tuple(dict.fromkeys(words)))


def _plain(found: str) -> str:
    """The word without the signs and spaces between its letters, or "" when it is in disguise."""
    if re.fullmatch(r"[a-z]+([ -][a-z]{2,})*", found):
        return found
    letters = re.sub(r"[\W_]+", "", found)
    return letters if letters.isalpha() else ""
