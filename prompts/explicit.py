"""Detection and removal of explicit words."""

import re
from dataclasses import dataclass
from functools import lru_cache

from prompts.normalization import normalize
from prompts.vocabulary import Span, Vocabulary

_DEPTH = 8
_REMEMBERED = 1_000
"""Maximum length of a text whose result is cached."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A text after the removal of words, and the removed words."""

    text: str
    words: tuple[str, ...] = ()


def find_explicit(text: str, vocabulary: Vocabulary) -> str | None:
    """Return the first word of the vocabulary as it is in the text, or None."""
    return _first(text, vocabulary) if len(text) <= _REMEMBERED else _first.__wrapped__(text, vocabulary)


@lru_cache(maxsize=2048)
def _first(text: str, vocabulary: Vocabulary) -> str | None:
    normalized = normalize(text)
    for span in vocabulary.find(normalized):
        start, end = normalized.origin(*span)
        return normalized.source[start:end]
    return None


@lru_cache(maxsize=1024)
def remove_words(text: str, vocabulary: Vocabulary) -> Removal:
    """Remove the words of a vocabulary, including words that a removal creates.

    A text that still contains words after eight passes is removed completely.
    """
    words: list[str] = []
    for _ in range(_DEPTH):
        normalized = normalize(text)
        spans = _apart(vocabulary.find(normalized))
        if not spans:
            return Removal(text, tuple(dict.fromkeys(words)))
        words += [word for start, end in spans if (word := _plain(normalized.text[start:end]))]
        text = normalized.source
        for span in reversed(spans):
            start, end = normalized.origin(*span)
            text = f"{text[:start]} {text[end:]}"
    return Removal("", tuple(dict.fromkeys(words)))


def _apart(spans: list[Span]) -> list[Span]:
    """Return spans without overlaps. The earliest wins, and among equal starts the longest."""
    kept: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def _plain(found: str) -> str:
    """Return a word without signs and spaces between its letters, or "" if it is disguised."""
    if re.fullmatch(r"[a-z]+([ -][a-z]{2,})*", found):
        return found
    letters = re.sub(r"[\W_]+", "", found)
    return letters if letters.isalpha() else ""
