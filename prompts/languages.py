"""Words for ages in each language. They distinguish people from things; one data file per language."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Pattern = Annotated[str, Field(min_length=1)]
"""A word or phrase. `*` at an end matches the rest of a word."""
Patterns = tuple[Pattern, ...]


class Kind(StrEnum):
    """Kinds of phrases that decide if a number is the age of a person."""

    OLD = "old"
    """After a number: an age of a person or a thing (`years old`)."""
    YEARS = "years"
    """After a number: an age or a span of time (`years`)."""
    MONTHS = "months"
    """After any number: the age of a baby (`months old`)."""
    GRADES = "grades"
    """After a number up to 12: a pupil (`th grader`)."""
    CLASSES = "classes"
    """Before or after a number up to 12, beside a person: a pupil (`grade`)."""
    FORMS = "forms"
    """Before a number up to 13, beside a person: a pupil (`year`)."""
    BETWEEN = "between"
    """Before the first number of a range (`between`)."""
    TO = "to"
    """Between the numbers of a range (`to`)."""
    AGED = "aged"
    """Before a number: an age (`aged`)."""
    TURNED = "turned"
    """Before a number at the end of a clause: an age (`turned`)."""
    IS = "is"
    """Between a person and a number (`is`)."""
    UNDER = "under"
    """Before a number up to 18 (`younger than`)."""
    UNDER_AFTER = "under_after"
    """After a number up to 18 and its unit (`未満`)."""
    FILLERS = "fillers"
    """May precede a number (`about`)."""
    PEOPLE = "people"
    """A person of any age."""
    THINGS = "things"
    """A thing that may have an age."""
    ANIMALS = "animals"
    """Like `THINGS`, but also before a comma: `a dog, 3 years old`."""
    ARTICLES = "articles"
    """May precede such an animal (`her`)."""
    LASTING = "lasting"
    """Before a number of years: a span of time (`for`)."""
    LASTING_AFTER = "lasting_after"
    """After a number of years: a span of time (`ago`)."""
    SMALL = "small"
    """A function word, which starts another part of the sentence (`with`)."""


UNITS: Final = (Kind.OLD, Kind.YEARS, Kind.MONTHS, Kind.GRADES)
"""Kinds of units after a number, the most reliable first."""


class Language(BaseModel):
    """Words of one language: numbers, children, and the phrases of each `Kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    numbers: tuple[str, ...] = ()
    """1 to 19. `|` separates spellings; an empty text is composed of other numbers."""
    tens: tuple[str, ...] = ()
    """20, 30 up to 90."""
    hundred: str = ""
    joiners: tuple[str, ...] = ()
    """Between two number words (`and`)."""
    multiplies: bool = False
    """True if a digit multiplies a following ten: "two ten" is 20, not 12."""
    ordinals: tuple[str, ...] = ()
    """Stems of 1st to 12th. They apply only with `classes`."""
    number_endings: Patterns = ()
    """Suffixes of numbers in digits (`th`)."""

    approximations: Patterns = ()
    """After a number: makes it approximate (`or so`)."""
    misspelled: Patterns = ()
    """Words that are also found misspelled, as longer number words are."""

    children: Patterns = ()
    """Persons below 18. `...` stands for up to two words."""
    alone: Patterns = ()
    """Persons below 18 if no noun follows: "a minor, …" is a person, "a minor scratch" is not."""
    harmless: Patterns = ()
    """Phrases in which `children` do not refer to a child."""

    old: Patterns = ()
    years: Patterns = ()
    months: Patterns = ()
    grades: Patterns = ()
    classes: Patterns = ()
    forms: Patterns = ()
    between: Patterns = ()
    to: Patterns = ()
    aged: Patterns = ()
    turned: Patterns = ()
    is_: Patterns = Field((), alias="is")
    under: Patterns = ()
    under_after: Patterns = ()
    fillers: Patterns = ()
    people: Patterns = ()
    things: Patterns = ()
    animals: Patterns = ()
    articles: Patterns = ()
    lasting: Patterns = ()
    lasting_after: Patterns = ()
    small: Patterns = ()

    def patterns(self, kind: Kind) -> Patterns:
        """Return the patterns of a kind."""
        found: Patterns = getattr(self, "is_" if kind is Kind.IS else kind.value)
        return found

    def all_patterns(self) -> Iterator[str]:
        """The patterns of all kinds, and the words for persons below 18."""
        for patterns in (self.children, self.alone, self.harmless, *map(self.patterns, Kind)):
            yield from patterns
