"""Functions for clauses of prompts: clean, split, join without duplicates, shorten."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise

from prompts.normalization import is_invisible, normalize
from prompts.notation import rewrite_notation
from prompts.weights import split_clauses

_ABBREVIATION = re.compile(
    r"(?:^|[\s.(\[])[^\W\d_]$"  # J. R. R.
    r"|\b(?:[^\W\d_]{1,3}\.)+[^\W\d_]{1,3}$"  # U.S., Ph.D.
    r"|\b(?:approx|ave|blvd|bros|capt|cmdr|co|col|corp|cpl|dept|dr|esq|est|etc|ft|gen|gov|hon|inc|jr|lt"
    r"|ltd|maj|messrs|mlle|mme|mr|mrs|ms|mt|prof|pvt|rev|sgt|sr|st|vs)$",
    re.IGNORECASE,
)
_BEFORE_NUMBER = re.compile(
    r"\b(?:apr|aug|ch|dec|feb|fig|jan|jul|jun|mar|no|nos|nov|nr|oct|op|p|pp|sec|sep|sept|vol|vols)$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[\w)\]])\.\s+")
_SPACES = re.compile(r"\s+")
_LONG_WORD = 12
_WIDE = frozenset("WF")


@lru_cache(maxsize=1024)
def clean(text: str | None) -> str:
    """Remove invisible characters, stray commas, double spaces and references to other LoRAs."""
    if not text:
        return ""
    visible = "".join(sign for sign in unicodedata.normalize("NFC", text) if not is_invisible(sign))
    return ", ".join(clauses_of(rewrite_notation(visible)))


def clauses_of(text: str) -> list[str]:
    """Split a text at the commas outside of brackets. Empty parts are left out."""
    return list(_clauses_of(text))


@lru_cache(maxsize=1024)
def _clauses_of(text: str) -> tuple[str, ...]:
    parts = (_without_dots(_SPACES.sub(" ", part).strip()) for part in split_clauses(text))
    return tuple(part for part in parts if any(sign.isalnum() for sign in part))


def sentences_as_clauses(text: str) -> str:
    """Replace the dots between sentences with commas: `Rain. He laughs`, but not `the U.S. flag`."""
    parts = _SENTENCE_END.split(text)
    joints = (", " if _ends_sentence(one, other) else ". " for one, other in pairwise(parts))
    return "".join(part + joint for part, joint in zip(parts, (*joints, ""), strict=True))


def _ends_sentence(before: str, behind: str) -> bool:
    if _ABBREVIATION.search(before):
        return False
    return not (behind[:1].isdigit() and _BEFORE_NUMBER.search(before))


def _without_dots(clause: str) -> str:
    """Remove dots around a clause. The last one is kept after an abbreviation: `the U.S.`."""
    bare = clause.strip(" .")
    return f"{bare}." if clause.endswith(f"{bare}.") and re.search(r"\b\w{1,2}\.\w$", bare) else bare


def phrase(text: str | None, words: int) -> str:
    """Return a text as one clause without commas, of at most `words` words."""
    return shorten(clean(text).replace(",", ""), words)


def join(parts: Iterable[str]) -> str:
    """Join the clauses of all parts. Duplicates are removed, ignoring case and accents."""
    kept: dict[str, str] = {}
    for part in parts:
        for clause in clauses_of(part):
            kept.setdefault(normalize(clause).text, clause)
    return ", ".join(kept.values())


def shorten(text: str, words: int) -> str:
    """Cut a text to at most `words` words, after a clause if possible, else after a word."""
    if word_count(text) <= words:
        return text
    kept: list[str] = []
    for clause in clauses_of(text):
        if word_count(", ".join([*kept, clause])) > words:
            return ", ".join(kept) if kept else _cut(clause, words)
        kept.append(clause)
    return ", ".join(kept)


@lru_cache(maxsize=4096)
def word_count(text: str) -> int:
    """Estimate the length of a text in words. Wide characters count one each, long words more."""
    return sum(_length(word) for word in text.split())


def replace_words(text: str, instead: Mapping[str, str]) -> str:
    """Replace whole words in a text, ignoring case."""
    return _any_of(tuple(instead)).sub(lambda found: instead[found.group().lower()], text)


@lru_cache(maxsize=16)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def _length(word: str) -> int:
    if word.isascii():
        return math.ceil(len(word) / _LONG_WORD)
    wide = sum(unicodedata.east_asian_width(sign) in _WIDE for sign in word)
    return wide + math.ceil((len(word) - wide) / _LONG_WORD)


def _cut(clause: str, words: int) -> str:
    kept: list[str] = []
    for word in clause.split():
        if word_count(" ".join([*kept, word])) > words:
            break
        kept.append(word)
    return " ".join(kept) or clause[:words]
