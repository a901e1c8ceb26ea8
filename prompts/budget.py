"""Selection of the clauses that fit into a prompt. The least important ones are cut."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

from prompts.normalization import normalize

Size = Callable[[str], int]
"""Measure of a text's length: words or tokens."""

_PIECE = re.compile(r"[a-zA-Z]+|\S")
_LETTERS = 6


class Rank(IntEnum):
    """Importance of a clause. Higher ranks are cut first."""

    KEPT = 0
    """Never cut: trigger, person, expression, and the first clause of shot, clothes, place and style."""
    USER = 1
    """Free text of the user."""
    SETTING = 2
    """Other clauses of shot, clothes, place and style, and an occupation."""
    QUALITY = 3
    """Generic terms for quality."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a prompt between commas."""

    text: str
    rank: Rank
    weight: float = 1.0
    """Weight in dialects with weights. 1 is neutral."""
    group: int = 0
    """Number of the sentence, in dialects with sentences."""
    joint: str = ", "
    """Separator from the preceding clause."""
    whole: bool = True
    """False if it is a fragment that needs its neighbours."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The clauses that are kept, in order, and the texts of those that are cut."""

    clauses: tuple[Clause, ...]
    cut: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def tokens(text: str) -> int:
    """Estimate the number of CLIP tokens of a text. The estimate is rather too high.

    A word counts one token per six letters, because CLIP has whole tokens for most English words. A digit
    or sign counts one, as in CLIP. Any other letter counts one per UTF-8 byte, the maximum.
    """
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def fit(clauses: Iterable[Clause], size: Size, page: int, pages: int = 1) -> Fitted:
    """Return the clauses that fit into `pages` pages of size `page`, without duplicates.

    Clauses of ranks KEPT and USER may fill all pages. The others only fill the last page that these have
    started. Within a rank, clauses are kept until one does not fit. If the first clause of the user does
    not fit, its beginning is kept.
    """
    all_ = _once(clauses)
    costs = [size(f"{clause.text},") for clause in all_]
    kept = {at: clause for at, clause in enumerate(all_) if clause.rank is Rank.KEPT}
    used = sum(costs[at] for at in kept)
    most = max(used, page * pages)
    for rank in (Rank.USER, Rank.SETTING, Rank.QUALITY):
        room = most if rank is Rank.USER else min(most, page * max(1, math.ceil(used / page)))
        ranked = [at for at, clause in enumerate(all_) if clause.rank is rank]
        for at in ranked:
            if used + costs[at] <= room:
                kept[at] = all_[at]
                used += costs[at]
                continue
            beginning = _beginning(all_[at].text, room - used - 1, size)
            if rank is Rank.USER and at == ranked[0] and beginning:
                kept[at] = replace(all_[at], text=beginning)
                used += size(f"{beginning},")
            break
    stay = tuple(kept[at] for at in sorted(kept))
    return Fitted(stay, tuple(clause.text for at, clause in enumerate(all_) if at not in kept))


def _once(clauses: Iterable[Clause]) -> Sequence[Clause]:
    """Remove duplicates, ignoring case and accents. The first one gets the highest importance of all."""
    found: dict[str, Clause] = {}
    for at, clause in enumerate(filter(lambda clause: clause.text, clauses)):
        key = normalize(clause.text).text if clause.whole else f", {at}"
        first = found.setdefault(key, clause)
        if clause.rank < first.rank:
            found[key] = replace(first, rank=clause.rank)
    return list(found.values())


def _beginning(text: str, room: int, size: Size) -> str:
    """Return the first words that fit, or the first letters of a single long word."""
    words = text.split(" ")
    count = bisect_right(range(1, len(words) + 1), room, key=lambda n: size(" ".join(words[:n])))
    if count:
        return " ".join(words[:count])
    return words[0][: bisect_right(range(1, len(words[0]) + 1), room, key=lambda n: size(words[0][:n]))]


def _tokens(piece: str) -> int:
    if piece.isascii():
        return math.ceil(len(piece) / _LETTERS)
    return len(piece.encode(errors="replace"))
