"""Parser for weights of words as in ComfyUI and A1111: `(rain:1.3)`, `((rain))`, `[rain]`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MIN_WEIGHT, MAX_WEIGHT = 0.5, 1.5
"""Limits for the weight of one bracket. Weights of nested brackets are multiplied."""

_LEAST, _MOST = 0.25, 2.0
"""Limits for the product of all weights."""
_BARE: Final = 1.1
"""Factor of a bracket without a number: `(x)` multiplies by it, `[x]` divides by it."""
_DEEPEST = 12
"""Maximum depth of brackets. Deeper ones have no effect, which bounds the time for any text."""

_TOKEN = re.compile(
    r"\\(?P<sign>.)|(?P<open>[(\[])|:\s*(?P<weight>[+-]?(?:\d*\.\d+|(?<!\d:)(?<!\d:\s)\d+\.?))\s*\)|(?P<close>[)\]])"
    r"|[^\\()\[\]:]+|.",
    re.DOTALL,
)
"""Pattern of brackets and weights. After a digit, `:30)` is a time and not a weight; `:1.3)` is a weight."""
_LOST_WEIGHT = re.compile(r"(?<=[^\W\d])\s*:\s*\d*\.?\d+(?=\s*(?:[,;\n]|$))")
"""Pattern of the weight of an unclosed bracket."""
_CLAUSE_END = re.compile(r"[,;\n]+")
_BRACKET = "\x1f"
"""Replacement for a removed bracket."""
_BETWEEN = re.compile(rf"(?<=\w){_BRACKET}+(?=\w)")
"""Bracket within a word, which splits it in two."""
_PARTED = re.compile(rf"\s{_BRACKET}|{_BRACKET}\s|\w{_BRACKET}\w")
_CLOSED_BY = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of one weight, without their brackets."""

    text: str
    weight: float = 1.0
    joint: str = ", "
    """Separator from the preceding piece. A clause ends there unless it is a space or empty."""


@lru_cache(maxsize=1024)
def parse_weights(text: str) -> tuple[Piece, ...]:
    """Split a text into clauses, and clauses into pieces of one weight.

    An escaped bracket stays a bracket. An unmatched bracket becomes a space.
    """
    if not any(sign in text for sign in "()[]\\"):
        parts = (part.strip() for part in _CLAUSE_END.split(text))
        return tuple(Piece(part) for part in parts if _has_content(part))
    pieces: list[Piece] = []
    for clause in _clauses(_runs(text)):
        for at, (words, weight) in enumerate(clause):
            spaced = at and _PARTED.search(f"{clause[at - 1][0]}{_BRACKET}{words}")
            joint = ", " if not at else " " if spaced else ""
            pieces.append(Piece(" ".join(words.split()), round(min(_MOST, max(_LEAST, weight)), 3), joint))
    return tuple(pieces)


def split_clauses(text: str) -> list[str]:
    """Split a text at the commas outside of brackets."""
    if "(" not in text and "[" not in text:
        return _CLAUSE_END.split(text)
    inside = _inside(text)
    parts, start = [], 0
    for end in _CLAUSE_END.finditer(text):
        if not inside[end.start()]:
            parts.append(text[start : end.start()])
            start = end.end()
    return [*parts, text[start:]]


def _inside(text: str) -> list[int]:
    """Return the depth of brackets at each character and at the end of the text."""
    steps = [0] * (len(text) + 1)
    opened: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        if sign := match["open"]:
            opened.append((_CLOSED_BY[sign], match.start()))
        elif (sign := match["close"] or (match["weight"] and ")")) and opened and opened[-1][0] == sign:
            steps[opened.pop()[1]] += 1
            steps[match.end() - 1] -= 1
    depth = 0
    for at, step in enumerate(steps):
        depth += step
        steps[at] = depth
    return steps


def _runs(text: str) -> list[tuple[str, float]]:
    """Return the text without its brackets, in runs of one weight."""
    runs: list[list[float]] = []
    words: list[str] = []
    opened: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        if match["open"] or match["close"] or match["weight"]:
            words.append(_BRACKET)
            runs.append([1.0])
        closed = match["close"] or (match["weight"] and opened and opened[-1][0] == ")" and ")")
        if sign := match["open"]:
            opened.append((_CLOSED_BY[sign], len(words)))
        elif closed:
            if not opened or opened[-1][0] != closed:
                continue
            start = opened.pop()[1]
            if len(opened) < _DEEPEST:
                factor = _factor(closed, match["weight"])
                for run in runs[start:]:
                    run[0] *= factor
        elif not match["weight"]:
            words.append(match["sign"] or match.group())
            runs.append([1.0])
    merged = _merged((word, run[0]) for word, run in zip(words, runs, strict=True))
    return [(_LOST_WEIGHT.sub("", said), weight) for said, weight in merged] if opened else merged


def _factor(closed: str, weight: str | None) -> float:
    if weight:
        return min(MAX_WEIGHT, max(MIN_WEIGHT, float(weight)))
    return _BARE if closed == ")" else 1 / _BARE


def _merged(runs: Iterator[tuple[str, float]]) -> list[tuple[str, float]]:
    merged: list[tuple[list[str], float]] = []
    for words, weight in runs:
        if merged and merged[-1][1] == weight:
            merged[-1][0].append(words)
        else:
            merged.append(([words], weight))
    return [(_BETWEEN.sub(" ", "".join(words)).replace(_BRACKET, ""), weight) for words, weight in merged]


def _clauses(runs: list[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    """Yield the runs of each clause that contains letters or digits."""
    clause: list[tuple[str, float]] = []
    for words, weight in runs:
        first, *others = _CLAUSE_END.split(words)
        clause.append((first, weight))
        for other in others:
            yield from _with_content(clause)
            clause = [(other, weight)]
    yield from _with_content(clause)


def _with_content(clause: list[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    kept = [run for run in clause if _has_content(run[0])]
    if kept:
        yield kept


def _has_content(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
