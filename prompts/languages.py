"""Words that tell the ages of people from those of things, one data file per language."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Pattern = Annotated[str, Field(min_length=1)]
"""A word or phrase; `*` at an end means that the word goes on there."""
Patterns = tuple[Pattern, ...]


class Kind(StrEnum):
    """Parts of a sentence that decide if a number is the age of a person."""

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
    BETWEEN = "between"
    """Before the first number of a range (`between`)."""
    TO = "to"
    """Between the numbers of a range (`to`)."""
    AGED = "aged"
    """Before a number: an age (`aged`)."""
    TURNED = "turned"
    """Before a number: an age where a clause ends behind the number (`turned`)."""
    IS = "is"
    """Between a person and a number (`is`)."""
    UNDER = "under"
    """Before a number up to 18 (`younger than`)."""
    UNDER_AFTER = "under_after"
    """After a number up to 18 and its unit (`未満`)."""
    FILLERS = "fillers"
    """May stand before a number (`about`)."""
    PEOPLE = "people"
    """A person of any age."""
    THINGS = "things"
    """May have an age without being a person."""
    ANIMALS = "animals"
    """The same, also before a comma: `a dog, 3 years old`."""
    ARTICLES = "articles"
    """May stand before an animal there (`her`)."""
    LASTING = "lasting"
    """Before a number of years: a span of time (`for`)."""
    LASTING_AFTER = "lasting_after"
    """After a number of years: a span of time (`ago`)."""
    SMALL = "small"
    """A word that begins another part of the sentence (`with`)."""


UNITS: Final = (Kind.OLD, Kind.YEARS, Kind.MONTHS, Kind.GRADES)
"""Kinds that may stand behind a number, the surest first."""


class Language(BaseModel):
    """One language: its number words, children, and the `Kind`s of parts above."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    numbers: tuple[str, ...] = ()
    """1 to 19; `|` parts spellings, an empty text is put together from the others."""
    tens: tuple[str, ...] = ()
    """20, 30 up to 90."""
    hundred: str = ""
    joiners: tuple[str, ...] = ()
    """Between two number words (`and`)."""
    multiplies: bool = False
    """True if a digit before ten makes tens: two ten is 20, not 12."""
    ordinals: tuple[str, ...] = ()
    """1st to 12th, each up to where its endings differ; they count with `classes` only."""
    number_endings: Patterns = ()
    """Between a number and what follows it (`th`)."""

    children: Patterns = ()
    """Persons below 18; `...` stands for up to two words."""
    alone: Patterns = ()
    """Persons below 18 where no noun follows: "a minor, …" is a person, "a minor scratch" is not."""
    harmless: Patterns = ()
    """Phrases in which `children` mean no child."""

    old: Patterns = ()
    years: Patterns = ()
    months: Patterns = ()
    grades: Patterns = ()
    classes: Patterns = ()
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
        """The patterns of one kind."""
        found: Patterns = getattr(self, "is_" if kind is Kind.IS else kind.value)
        return found
