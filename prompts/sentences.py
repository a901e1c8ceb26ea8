"""Rules that decide from the words around a number if it is the age of a person below 18."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prompts.languages import UNITS, Kind
from prompts.marks import Mark, MarkIndex
from prompts.number_words import Form, Number
from prompts.respelling import TO
from prompts.things import is_of_thing, thing_follows
from prompts.views import CLAUSE_END

ADULT_AGE: Final = 18

_LAST_GRADE = 13
_LEAST_BARE = 2
"""Smallest age without a unit: `(woman:1.2)` is a weight, and "she is one of us" is not an age."""
_LEAST_OPEN = 10
"""Smallest age between a person and a function word: `girl 16 with an umbrella`."""
_HEAVIEST = 3
"""Upper bound of weights of tags: a smaller fraction without a unit is a weight."""
_BEHIND_PERSON = 8
"""Number of words, with ends of clauses, from a person to a number that is a clause of its own."""
_NUMBER_AHEAD = re.compile(rf" {CLAUSE_END} \d")
"""Start of the second number of a ratio or of a list."""
DECIDING: Final = frozenset(
    {
        *UNITS,
        *(
            Kind.UNDER_AFTER,
            Kind.CLASSES,
            Kind.FORMS,
            Kind.AGED,
            Kind.TURNED,
            Kind.IS,
            Kind.UNDER,
            Kind.BETWEEN,
        ),
        Kind.PEOPLE,
    }
)
"""Kinds that indicate an age. A number in words needs one in its language."""


@dataclass(slots=True)
class Sentence:
    """A view with the marks and numbers that concern ages."""

    marks: MarkIndex
    ending: re.Pattern[str]
    numbers: Mapping[int, Number]
    """Numbers by their start positions."""

    def minor_age_end(self, number: Number) -> int | None:
        """Return the end of the phrase if the number is the age of a person below 18, else None."""
        if number.value <= _LAST_GRADE and (end := self._class(number)):
            return end
        if number.form is Form.ORDINAL:
            return None
        units = self._units(number)
        if number.form is Form.DOUBTFUL and not units and not self._is_aged(number):
            return None
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
        if number.value >= ADULT_AGE or not whole or units:
            return None
        if self._by_introduction(number) or (number.rough and self._is_rough_age(number)):
            return number.end
        return None

    def _class(self, number: Number) -> int | None:
        """Return the end of a school class with this number and a person beside it, else None."""
        places = {number.end, number.end + 1}
        if self.marks.text.startswith(f" {CLAUSE_END} ", number.end):
            places.add(number.end + 3)
        if ending := self.ending.match(self.marks.text, number.end):
            places |= {ending.end(), ending.end() + 1}
        after = [mark.end for place in places for mark in self._at(place) if _is_class(mark, number)]
        marks = self.marks.ends.get(number.start - 1, ())
        before = [mark.start for mark in marks if _is_class(mark, number)]
        if not before and not after:
            return self._form(number)
        start, end = min([*before, number.start]), max([*after, number.end])
        beside = self.marks.begins(end + 1, Kind.PEOPLE) or self._person_precedes(start)
        return end if beside and not thing_follows(self.marks, end) else None

    def _form(self, number: Number) -> int | None:
        """Return the end of a school year: `year 9 student`, `a girl in year 9`."""
        end, marks = number.end, self.marks.ends.get(number.start - 1, ())
        starts = [mark.start for mark in marks if mark.kind is Kind.FORMS]
        if not starts or number.language is not None:
            return None
        if self.marks.begins(end + 1, Kind.PEOPLE):
            return end
        return end if self.marks.ends_clause(end) and self._person_precedes(min(starts)) else None

    def _person_precedes(self, start: int) -> bool:
        """Return whether a person precedes a position, in the same clause or the one before."""
        for at in (start, start - 2 if self.marks.text.startswith(f"{CLAUSE_END} ", start - 2) else start):
            if any(self.marks.finishes(end, Kind.PEOPLE) for _, end in self.marks.words_before(at)):
                return True
        return False

    def _is_aged(self, number: Number) -> bool:
        return self._introduced(number.start, Kind.AGED) is not None

    def _at(self, place: int) -> Sequence[Mark]:
        return self.marks.starts.get(place, ())

    def _is_whole(self, number: Number) -> bool:
        return self.marks.text[number.end] == " " or number.language is None

    def _units(self, number: Number) -> list[Mark]:
        """Return the units after the number, with or without a space or an ending between them."""
        places = [number.end, number.end + 1]
        if ending := self.ending.match(self.marks.text, number.end):
            places += [ending.end(), ending.end() + 1]
        units = [
            mark
            for place in places
            for mark in self._at(place)
            if mark.kind in UNITS and number.language in (None, mark.language)
        ]
        if self.marks.text.startswith(f" {CLAUSE_END} ", number.end):
            behind = self._at(number.end + 3)
            units += [
                mark for mark in behind if mark.kind is Kind.OLD and number.language in (None, mark.language)
            ]
        return sorted(units, key=lambda unit: UNITS.index(unit.kind))

    def _under(self, number: Number, units: list[Mark]) -> int | None:
        end = max((unit.end for unit in units), default=number.end)
        for place in (end, end + 1):
            if any(mark.kind is Kind.UNDER_AFTER for mark in self._at(place)):
                return end
        start = self._introduced(number.start, Kind.UNDER, skipping=(Kind.FILLERS, Kind.AGED, Kind.TURNED))
        if start is None or not (units or self.marks.is_open(end) or self.marks.begins(end + 1, Kind.PEOPLE)):
            return None
        return end

    def _by_unit(self, number: Number, unit: Mark) -> bool:
        if unit.kind is Kind.MONTHS:
            return not is_of_thing(self.marks, number.start, unit.end)
        if number.value >= ADULT_AGE:
            return False
        if unit.kind is Kind.GRADES:
            return number.value <= _LAST_GRADE
        if is_of_thing(self.marks, number.start, unit.end):
            return False
        return unit.kind is Kind.OLD or self._is_age(number.start, unit)

    def _is_age(self, start: int, unit: Mark) -> bool:
        """Return whether a number of years is an age and not a span of time."""
        spoken = {mark.language for mark in self.marks.starts[unit.start] if mark.kind is unit.kind}
        if self.marks.ends_clause(unit.end) and self._begins_clause_after_person(start):
            return True
        lasting = self._introduced(start, Kind.LASTING, (Kind.SMALL,), most=1, spoken=spoken)
        if lasting is not None:
            said = (self._introduced(start, kind, (), spoken=spoken) for kind in (Kind.AGED, Kind.TURNED))
            return any(begins is not None and begins < lasting for begins in said)
        behind = unit.end + (self.marks.text[unit.end] == " ")
        if any(mark.kind is Kind.LASTING_AFTER and mark.language in spoken for mark in self._at(behind)):
            return False
        for kind in (Kind.AGED, Kind.TURNED, Kind.IS):
            if self._introduced(start, kind, spoken=spoken) is not None:
                return True
        if self.marks.ends_clause(unit.end) or self.marks.begins(behind, Kind.PEOPLE):
            return True
        return any(self.marks.finishes(end, Kind.PEOPLE) for _, end in self.marks.words_before(start))

    def _begins_clause_after_person(self, start: int) -> bool:
        """Return whether a number begins a clause after a person: `a girl, about` before it."""
        for word, end in self.marks.words_before(start):
            if not self.marks.finishes(end, Kind.FILLERS):
                return False
            start = word
        behind = self.marks.text.startswith(f" {CLAUSE_END} ", start - 3)
        return behind and self.marks.finishes(start - 3, Kind.PEOPLE)

    def _by_introduction(self, number: Number) -> bool:
        """Return whether an introduction makes a number an age: `aged 16`, `she is only 16`, `girl, 16,`."""
        end, start = self._range_end(number), number.start
        spoken = {number.language} if number.language else None
        if self._introduced(start, Kind.AGED, spoken=spoken) is not None:
            return not is_of_thing(self.marks, start, end)
        if not self.marks.is_open(end) or number.value < _LEAST_BARE or number.value % 1:
            return False
        if end > number.end and self._between(start):
            return True
        if self._introduced(start, Kind.TURNED, spoken=spoken) is not None:
            return not is_of_thing(self.marks, start, end)
        verb = self._introduced(start, Kind.IS, spoken=spoken)
        if verb is not None and self.marks.finishes(verb - 1, Kind.PEOPLE):
            return True
        for before in (start - 1, start - 3):
            if self._is_person(before, number) and (
                before == start - 1 or self.marks.text[before + 1] == CLAUSE_END
            ):
                return self.marks.ends_clause(end) or number.value >= _LEAST_OPEN
        return number.value >= _LEAST_OPEN and self._is_clause_about_person(number, end)

    def _is_person(self, end: int, number: Number) -> bool:
        """Return whether a word for a person, in the language of the number, ends at a position."""
        return any(
            mark.kind is Kind.PEOPLE and number.language in (None, mark.language)
            for mark in self.marks.ends.get(end, ())
        )

    def _is_clause_about_person(self, number: Number, end: int) -> bool:
        """Return whether a number is a clause of its own after a person: `a girl with long hair, 16`."""
        text, at = self.marks.text, number.start
        if not text.startswith(f" {CLAUSE_END} ", at - 3) or not self.marks.ends_clause(end):
            return False
        if _NUMBER_AHEAD.match(text, end):
            return False
        for _ in range(_BEHIND_PERSON):
            if self._is_person(at - 1, number):
                return True
            at = self.marks.word_before(at - 1)
            if at <= 0:
                break
        return False

    def _is_rough_age(self, number: Number) -> bool:
        """Return whether an approximate number is an age: `16ish girl`, or a clause of its own."""
        if self.marks.begins(number.end + 1, Kind.PEOPLE):
            return True
        begins = number.start <= 1 or self.marks.text.startswith(f"{CLAUSE_END} ", number.start - 2)
        return begins and number.value >= _LEAST_OPEN and self.marks.ends_clause(number.end)

    def _range_end(self, number: Number) -> int:
        """Return the end of the range that starts with a number: `14 to 16`, `14-16`."""
        places = [number.end + 3] if self.marks.text.startswith(f" {TO} ", number.end) else []
        places += [mark.end + 1 for mark in self._at(number.end + 1) if mark.kind is Kind.TO]
        places += [place - 1 for place in places]
        ends = (self.numbers[place] for place in places if place in self.numbers)
        return max((last.end for last in ends if last.value > number.value), default=number.end)

    def _between(self, start: int) -> bool:
        """Return whether `between` precedes a number, at the start of a clause or after a person."""
        begins = self._introduced(start, Kind.BETWEEN)
        if begins is None:
            return False
        return begins <= 1 or self.marks.text[begins - 2] == CLAUSE_END or self._person_precedes(begins)

    def _introduced(
        self,
        start: int,
        kind: Kind,
        skipping: tuple[Kind, ...] = (Kind.FILLERS,),
        *,
        most: int = 3,
        spoken: set[str] | None = None,
    ) -> int | None:
        """Return the start of a mark of a kind before a position, with few fillers or a colon between."""
        at = start
        for _ in range(most + 1):
            marks = [
                mark
                for mark in self.marks.ends.get(at - 1, ())
                if mark.kind is kind and (spoken is None or mark.language in spoken)
            ]
            if marks:
                return min(mark.start for mark in marks)
            if self._is_unspaced_before(at, kind):
                return at - 1
            word = self.marks.word_before(at - 1)
            skipped = self.marks.text[word : at - 1] == CLAUSE_END and kind in (Kind.AGED, Kind.TURNED)
            if word <= 0 or not (skipped or any(self.marks.finishes(at - 1, other) for other in skipping)):
                return None
            at = word
        return None

    def _is_unspaced_before(self, at: int, kind: Kind) -> bool:
        return any(mark.kind is kind for mark in self.marks.ends.get(at, ()))


def _is_class(mark: Mark, number: Number) -> bool:
    return mark.kind is Kind.CLASSES and number.language in (None, mark.language)
