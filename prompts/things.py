"""Detection of ages that belong to things or animals, by the words beside them."""

from typing import Final

from prompts.languages import Kind
from prompts.marks import LOOKBACK, MAX_WORD_LENGTH, MarkIndex
from prompts.views import CLAUSE_END

_AHEAD: Final = 5
"""Number of words after a number that are examined."""


def is_of_thing(marks: MarkIndex, start: int, end: int) -> bool:
    """Return whether the age belongs to a thing and not to a person."""
    return thing_follows(marks, end) or _thing_precedes(marks, start)


def thing_follows(marks: MarkIndex, end: int) -> bool:
    """Return whether the age belongs to a following thing: `12 year old single malt whisky in hand`."""
    if any(marks.begins(place, Kind.THINGS) for place in (end, end + 1, end + 2)) and (
        marks.text[end] != " " or _unspaced(marks, end)
    ):
        return True
    at, thing = end + 1, False
    for _ in range(_AHEAD):
        until = marks.text.find(" ", at, at + MAX_WORD_LENGTH)
        if until < 0 or marks.text[at:until] == CLAUSE_END or marks.begins(at, Kind.SMALL):
            break
        if marks.begins(at, Kind.PEOPLE):
            return False
        thing = marks.begins(at, Kind.THINGS)
        at = until + 1
    return thing


def _unspaced(marks: MarkIndex, at: int) -> bool:
    return marks.text[at + 1 : at + 2] > "\u3000"


def _thing_precedes(marks: MarkIndex, start: int) -> bool:
    """Return whether the age belongs to a preceding thing: `a car that is 10 years old`."""
    passed = (Kind.SMALL, Kind.IS, Kind.AGED, Kind.TURNED, Kind.FILLERS)
    if _animal_precedes(marks, start):
        return True
    nearest: list[bool] = []
    passed_from = start
    for word, end in marks.words_before(start):
        if marks.finishes(end, Kind.PEOPLE):
            return False
        begins = [mark.start for mark in marks.ends.get(end, ()) if mark.kind in passed]
        passed_from = min([passed_from, *begins])
        if word < passed_from:
            nearest.append(marks.begins(word, Kind.THINGS))
    return any(nearest[:2])


def _is_animal(marks: MarkIndex, start: int, end: int) -> bool:
    """Return whether a word is an animal. In scripts without spaces it includes its article."""
    begins = (marks.begins(start, kind) for kind in (Kind.ANIMALS, Kind.ARTICLES))
    return marks.finishes(end, Kind.ANIMALS) and any(begins)


def _animal_precedes(marks: MarkIndex, start: int) -> bool:
    """Return whether the age belongs to an animal: `a dog, 3 years old`, without a person before it."""
    for word, end in marks.words_before(start):
        if any(marks.finishes(end, kind) for kind in (Kind.AGED, Kind.TURNED, Kind.FILLERS)):
            start = word
    if not marks.text.startswith(f" {CLAUSE_END} ", start - 3):
        return False
    words = list(marks.words_before(start - 2))
    if not words or not _is_animal(marks, *words[0]):
        return False
    if any(not marks.begins(word, Kind.ARTICLES) for word, _ in words[1:]) or len(words) >= LOOKBACK:
        return False
    before = words[-1][0]
    return before <= 1 or not any(
        marks.finishes(end, Kind.PEOPLE) for _, end in marks.words_before(before - 2)
    )
