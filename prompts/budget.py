"""What fits into a prompt: clauses by importance, cut where they matter least."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from prompts.folding import fold

Size = Callable[[str], int]
"""How much of a budget a text takes: words, tokens."""

_PIECE = re.compile(r"[a-zA-Z]+|\S")
_LETTERS = 6


class Rank(IntEnum):
    """How long a clause stays: the higher, the sooner it is cut."""

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
    """How strongly it counts, where that can be said: 1 is as usual."""
    group: int = 0
    """The sentence it belongs to, where there are sentences."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The clauses that stay, in their order, and the texts of those that do not."""

    clauses: tuple[Clause, ...]
    cut: tuple[str, ...] = ()


def tokens(text: str) -> int:
    """About as many tokens as CLIP makes of a text, rather more, without its vocabulary.

    One for each started six letters of a word: CLIP knows most English words whole. One for each
    digit and sign, as in CLIP. One for each byte of any other letter, the most that it can be.
    """
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def fit(clauses: Iterable[Clause], allowed: int, size: Size, *, more: int = 0) -> Fitted:
    """The clauses that fit into what is allowed, none of them twice.

    Those of rank `KEPT` stay even where they do not fit; then the budget grows by `more` until they
    do. Of each other rank the first ones stay until one is too long; what the user says in one long
    clause is cut within it.
    """
    all_ = _once(clauses)
    costs = [size(f"{clause.text},") for clause in all_]
    kept = {at: clause for at, clause in enumerate(all_) if clause.rank is Rank.KEPT}
    left = allowed - sum(costs[at] for at in kept)
    if left < 0:
        left = left % more if more else 0
    for rank in (Rank.USER, Rank.SETTING, Rank.QUALITY):
        first = True
        for at in (at for at, clause in enumerate(all_) if clause.rank is rank):
            if costs[at] > left:
                if first and rank is Rank.USER and (part := _beginning(all_[at].text, left - 1, size)):
                    kept[at] = replace(all_[at], text=part)
                    left -= size(f"{part},")
                break
            kept[at], left, first = all_[at], left - costs[at], False
    stay = tuple(kept[at] for at in sorted(kept))
    return Fitted(stay, tuple(clause.text for at, clause in enumerate(all_) if at not in kept))


def _once(clauses: Iterable[Clause]) -> Sequence[Clause]:
    """None twice, whatever its case or accents; where it comes first, as important as anywhere."""
    found: dict[str, Clause] = {}
    for clause in filter(lambda clause: clause.text, clauses):
        key = fold(clause.text).text
        first = found.setdefault(key, clause)
        found[key] = replace(first, rank=min(first.rank, clause.rank))
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
