"""Weights that users give their words, as in ComfyUI and A1111: `(rain:1.3)`, `((rain))`, `[rain]`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MIN_WEIGHT, MAX_WEIGHT = 0.5, 1.5
"""Of one bracket; nested ones multiply."""

_LEAST, _MOST = 0.25, 2.0
"""Of all brackets together."""
_BARE: Final = 1.1
"""Factor of a bracket without a number: `(x)` multiplies by it, `[x]` divides by it."""
_DEEPEST = 12
"""Brackets further inside change nothing, so that no text takes long."""

_TOKEN = re.compile(
    r"\\(?P<sign>.)|(?P<open>[(\[])|:\s*(?P<weight>[+-]?(?:\d*\.\d+|(?<!\d:)(?<!\d:\s)\d+\.?))\s*\)|(?P<close>[)\]])"
    r"|[^\\()\[\]:]+|.",
    re.DOTALL,
)
"""Of two numbers around a colon, the second is a weight only with a point: `at 5:30` is a time."""
_LOST_WEIGHT = re.compile(r"(?<=[^\W\d])\s*:\s*\d*\.?\d+(?=\s*(?:[,;\n]|$))")
"""Weight of a bracket that was never closed."""
_CLAUSE_END = re.compile(r"[,;\n]+")
_BRACKET = "\x1f"
"""Stands where a bracket was."""
_BETWEEN = re.compile(rf"(?<=\w){_BRACKET}+(?=\w)")
"""Place of a bracket within a word: models read two."""
_PARTED = re.compile(rf"\s{_BRACKET}|{_BRACKET}\s|\w{_BRACKET}\w")
_CLOSED_BY = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of one weight, without the brackets that gave it."""

    text: str
    weight: float = 1.0
    joint: str = ", "
    """Separator from the piece before: a clause ends there unless it is a space or nothing."""


@lru_cache(maxsize=1024)
def parse_weights(text: str) -> tuple[Piece, ...]:
    """Split a text into clauses and, where a clause has words of several weights, into these.

    An escaped bracket stays a bracket, one without its partner is a space.
    """
    if not any(sign in text for sign in "()[]\\"):
        parts = (part.strip() for part in _CLAUSE_END.split(text))
        return tuple(Piece(part) for part in parts if _says(part))
    pieces: list[Piece] = []
    for clause in _clauses(_runs(text)):
        for at, (words, weight) in enumerate(clause):
            spaced = at and _PARTED.search(f"{clause[at - 1][0]}{_BRACKET}{words}")
            joint = ", " if not at else " " if spaced else ""
            pieces.append(Piece(" ".join(words.split()), round(min(_MOST, max(_LEAST, weight)), 3), joint))
    return tuple(pieces)


def split_clauses(text: str) -> list[str]:
    """The parts between commas that stand in no pair of brackets."""
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
    """Depth of brackets at each character; the last is for the text's end."""
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
    """The text without its brackets, in runs of one weight."""
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
    """The runs of each clause that says anything."""
    clause: list[tuple[str, float]] = []
    for words, weight in runs:
        first, *others = _CLAUSE_END.split(words)
        clause.append((first, weight))
        for other in others:
            yield from _saying(clause)
            clause = [(other, weight)]
    yield from _saying(clause)


def _saying(clause: list[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    kept = [run for run in clause if _says(run[0])]
    if kept:
        yield kept


def _says(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
