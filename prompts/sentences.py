"""A sentence with the places of all words that have to do with ages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prompts.languages import UNITS, Kind
from prompts.number_words import Number
from prompts.views import HARD
from prompts.vocabulary import Span

ADULT_AGE: Final = 18

_LAST_GRADE = 12
_LEAST_BARE = 2
"""Of a number without a unit: `(woman:1.2)` is a weight, and "she is one of us" no age."""
_HEAVIEST = 3
"""A fraction below without a unit is the weight of a tag."""
_AHEAD, _BACK = 5, 5
"""Words of a clause that are looked at after and before a number."""
_LONGEST_WORD = 40
"""Characters; a longer word ends what is looked at, so that no text takes long."""
_DECIDING = frozenset({*UNITS, Kind.UNDER_AFTER, Kind.AGED, Kind.TURNED, Kind.IS, Kind.UNDER, Kind.PEOPLE})
"""Without one of its language, a number in words says no age."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word or phrase that has to do with ages, of one language or (empty) of all."""

    kind: Kind
    language: str
    start: int
    end: int


@dataclass(slots=True)
class Sentence:
    """A view with the places of all that has to do with ages."""

    text: str
    ending: re.Pattern[str]
    languages: set[str] = field(default_factory=set)
    """Those with a word that decides about ages; an empty one for people, which every language has."""
    starts: dict[int, list[Mark]] = field(default_factory=dict)
    ends: dict[int, list[Mark]] = field(default_factory=dict)

    def add(self, mark: Mark) -> None:
        """Note a word of the sentence."""
        self.starts.setdefault(mark.start, []).append(mark)
        self.ends.setdefault(mark.end, []).append(mark)
        if mark.kind in _DECIDING:
            self.languages.add(mark.language)

    def minor_until(self, number: Number) -> int | None:
        """The end of what says that the number is the age of a person below 18, if anything does."""
        units = self._units(number)
        if number.value > ADULT_AGE and not any(unit.kind is Kind.MONTHS for unit in units):
            return None
        if not units and number.value < _HEAVIEST and number.value % 1:
            return None
        whole = self._is_whole(number)
        if not units and not whole:
            return None
        if number.value <= ADULT_AGE and (end := self._under(number, units)):
            return end
        for unit in units:
            if self._by_unit(number, unit):
                return unit.end
        if number.value < ADULT_AGE and whole and not units and self._by_introduction(number):
            return number.end
        return None

    def _is_whole(self, number: Number) -> bool:
        return self.text[number.end] == " " or number.language is None

    def _units(self, number: Number) -> list[Mark]:
        """The units behind the number, with or without a space or an ending between them."""
        places = [number.end, number.end + 1]
        if ending := self.ending.match(self.text, number.end):
            places += [ending.end(), ending.end() + 1]
        units = [
            mark
            for place in places
            for mark in self.starts.get(place, ())
            if mark.kind in UNITS and number.language in (None, mark.language)
        ]
        if self.text.startswith(f" {HARD} ", number.end):
            behind = self.starts.get(number.end + 3, ())
            units += [
                mark for mark in behind if mark.kind is Kind.OLD and number.language in (None, mark.language)
            ]
        return sorted(units, key=lambda unit: UNITS.index(unit.kind))

    def _under(self, number: Number, units: list[Mark]) -> int | None:
        end = max((unit.end for unit in units), default=number.end)
        for place in (end, end + 1):
            if any(mark.kind is Kind.UNDER_AFTER for mark in self.starts.get(place, ())):
                return end
        start = self._introduced(number.start, Kind.UNDER, skipping=(Kind.FILLERS, Kind.AGED, Kind.TURNED))
        if start is None or not (units or self._is_open(end) or self._starts(end + 1, Kind.PEOPLE)):
            return None
        return end

    def _by_unit(self, number: Number, unit: Mark) -> bool:
        if unit.kind is Kind.MONTHS:
            return not self._is_of_thing(number.start, unit.end)
        if number.value >= ADULT_AGE:
            return False
        if unit.kind is Kind.GRADES:
            return number.value <= _LAST_GRADE
        if self._is_of_thing(number.start, unit.end):
            return False
        return unit.kind is Kind.OLD or self._is_age(number.start, unit)

    def _is_age(self, start: int, unit: Mark) -> bool:
        """Whether a number of years is an age and no span of time."""
        spoken = {mark.language for mark in self.starts[unit.start] if mark.kind is unit.kind}
        if self._introduced(start, Kind.LASTING, (Kind.SMALL,), most=1, spoken=spoken) is not None:
            return False
        behind = unit.end + (self.text[unit.end] == " ")
        if any(
            mark.kind is Kind.LASTING_AFTER and mark.language in spoken
            for mark in self.starts.get(behind, ())
        ):
            return False
        for kind in (Kind.AGED, Kind.TURNED, Kind.IS):
            if self._introduced(start, kind, spoken=spoken) is not None:
                return True
        if self._ends_clause(unit.end) or self._starts(behind, Kind.PEOPLE):
            return True
        return any(self._ends(end, Kind.PEOPLE) for _, end in self._words_before(start))

    def _by_introduction(self, number: Number) -> bool:
        """`aged 16`, `turned 16`, `she is only 16`, `girl, 16,`."""
        end, start = number.end, number.start
        spoken = {number.language} if number.language else None
        if self._introduced(start, Kind.AGED, spoken=spoken) is not None:
            return not self._is_of_thing(start, end)
        if not self._is_open(end) or number.value < _LEAST_BARE or number.value % 1:
            return False
        if self._introduced(start, Kind.TURNED, spoken=spoken) is not None:
            return not self._is_of_thing(start, end)
        said = self._introduced(start, Kind.IS, spoken=spoken)
        if said is not None and self._ends(said - 1, Kind.PEOPLE):
            return True
        for before in (start - 1, start - 3):
            if self._ends(before, Kind.PEOPLE) and (before == start - 1 or self.text[before + 1] == HARD):
                return self._ends_clause(end)
        return False

    def _introduced(
        self,
        start: int,
        kind: Kind,
        skipping: tuple[Kind, ...] = (Kind.FILLERS,),
        *,
        most: int = 3,
        spoken: set[str] | None = None,
    ) -> int | None:
        """The start of a mark of this kind before a place, with few fillers or a colon between."""
        at = start
        for _ in range(most + 1):
            marks = [
                mark
                for mark in self.ends.get(at - 1, ())
                if mark.kind is kind and (spoken is None or mark.language in spoken)
            ]
            if marks:
                return min(mark.start for mark in marks)
            if self._is_unspaced_before(at, kind):
                return at - 1
            word = self._word_before(at - 1)
            skipped = self.text[word : at - 1] == HARD and kind in (Kind.AGED, Kind.TURNED)
            if word <= 0 or not (skipped or any(self._ends(at - 1, other) for other in skipping)):
                return None
            at = word
        return None

    def _is_unspaced_before(self, at: int, kind: Kind) -> bool:
        return any(mark.kind is kind for mark in self.ends.get(at, ()))

    def _is_of_thing(self, start: int, end: int) -> bool:
        """Whether a thing, and no person, is what the age belongs to."""
        return self._thing_follows(end) or self._thing_precedes(start)

    def _thing_follows(self, end: int) -> bool:
        """`12 year old single malt whisky in hand`: the last word before another part of the sentence."""
        if any(self._starts(place, Kind.THINGS) for place in (end, end + 1, end + 2)) and (
            self.text[end] != " " or self._unspaced(end)
        ):
            return True
        at, thing = end + 1, False
        for _ in range(_AHEAD):
            until = self.text.find(" ", at, at + _LONGEST_WORD)
            if until < 0 or self.text[at:until] == HARD or self._starts(at, Kind.SMALL):
                break
            if self._starts(at, Kind.PEOPLE):
                return False
            thing = self._starts(at, Kind.THINGS)
            at = until + 1
        return thing

    def _unspaced(self, at: int) -> bool:
        return self.text[at + 1 : at + 2] > "\u3000"

    def _thing_precedes(self, start: int) -> bool:
        """`a car that is 10 years old`: one of the two nearest words that are not small, and no person."""
        passed = (Kind.SMALL, Kind.IS, Kind.AGED, Kind.TURNED, Kind.FILLERS)
        nearest: list[bool] = []
        for word, end in self._words_before(start):
            if self._ends(end, Kind.PEOPLE):
                return False
            if not any(self._ends(end, kind) for kind in passed):
                nearest.append(self._starts(word, Kind.THINGS))
        return any(nearest[:2])

    def _words_before(self, start: int) -> Iterator[Span]:
        """The words of the same clause before a place, the nearest first."""
        end = start - 1
        for _ in range(_BACK):
            word = self._word_before(end)
            if word <= 0 or self.text[word:end] == HARD:
                return
            yield word, end
            end = word - 1

    def _word_before(self, end: int) -> int:
        """The start of the word that ends there; 0 when there is none, or a very long one."""
        return self.text.rfind(" ", max(end - _LONGEST_WORD, 0), max(end, 0)) + 1

    def _is_open(self, end: int) -> bool:
        """Whether no noun follows: a clause ends there, or another part of it begins."""
        return self.text[end] == " " and (self._ends_clause(end) or self._starts(end + 1, Kind.SMALL))

    def _ends_clause(self, end: int) -> bool:
        return end + 1 >= len(self.text) or self.text.startswith(f"{HARD} ", end + 1)

    def _starts(self, place: int, kind: Kind) -> bool:
        return any(mark.kind is kind for mark in self.starts.get(place, ()))

    def _ends(self, place: int, kind: Kind) -> bool:
        return any(mark.kind is kind for mark in self.ends.get(place, ()))
