"""Clauses that fit into a prompt, by importance; the least important are cut."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

from prompts.normalization import normalize

Size = Callable[[str], int]
"""Measure of a text against a budget: words, tokens."""

_PIECE = re.compile(r"[a-zA-Z]+|\S")
_LETTERS = 6


class Rank(IntEnum):
    """Order in which clauses are cut: the higher, the sooner."""

    KEPT = 0
    """Trigger, person, expression, and the first words of shot, clothes, place and style: never cut."""
    USER = 1
    """The user's own words."""
    SETTING = 2
    """The other words of shot, clothes, place and style; an occupation."""
    QUALITY = 3
    """Boilerplate."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Some words between commas."""

    text: str
    rank: Rank
    weight: float = 1.0
    """Weight, where the dialect has weights: 1 is as usual."""
    group: int = 0
    """The sentence it belongs to, where there are sentences."""
    joint: str = ", "
    """Separator from the clause before."""
    whole: bool = True
    """True if it says something by itself, and not only with its neighbours."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The clauses that stay, in their order, and the texts of those that do not."""

    clauses: tuple[Clause, ...]
    cut: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def tokens(text: str) -> int:
    """About as many tokens as CLIP makes of a text, rather more, without its vocabulary.

    One for each started six letters of a word: CLIP knows most English words whole. One for each
    digit and sign, as in CLIP. One for each byte of any other letter, the most that it can be.
    """
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def fit(clauses: Iterable[Clause], size: Size, page: int, pages: int = 1) -> Fitted:
    """The clauses that fit, none of them twice.

    What is kept in any case and what the user said may fill all pages; the rest fills up the last
    one that these begin. Of each rank the first clauses stay until one is too long; a long clause
    of the user's that nothing came before is cut within it.
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
    """None twice, whatever its case or accents; where it comes first, as important as anywhere."""
    found: dict[str, Clause] = {}
    for at, clause in enumerate(filter(lambda clause: clause.text, clauses)):
        key = normalize(clause.text).text if clause.whole else f", {at}"
        first = found.setdefault(key, clause)
        if clause.rank < first.rank:
            found[key] = replace(first, rank=clause.rank)
    return list(found.values())


def _beginning(text: str, room: int, size: Size) -> str:
    """The first words that fit; of one long word without spaces, its first letters."""
    words = text.split(" ")
    count = bisect_right(range(1, len(words) + 1), room, key=lambda n: size(" ".join(words[:n])))
    if count:
        return " ".join(words[:count])
    return words[0][: bisect_right(range(1, len(words[0]) + 1), room, key=lambda n: size(words[0][:n]))]


def _tokens(piece: str) -> int:
    if piece.isascii():
        return math.ceil(len(piece) / _LETTERS)
    return len(piece.encode(errors="replace"))
