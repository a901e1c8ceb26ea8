"""Adults only: no person below 18, whatever words they come in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from prompts.ages import (
    ADULT_AGE,
    NUMBER,
    AgeNotUnderstood,
    age_in_years,
    value_of,
)
from prompts.catalogue import Underage, default_catalogue
from prompts.folding import Folded, fold
from prompts.vocabulary import END, START, Vocabulary, compile_words

__all__ = ["ADULT_AGE", "AgeNotUnderstood", "NotAnAdult", "age_in_years", "find_minor"]

SHORT = 200
"""Characters of a text that is remembered."""
_ANY_NUMBER = re.compile(NUMBER)
_GAP = r"[\W_]{0,4}"
_AFTER = rf"(?P<number>{NUMBER})(?:[\s-]+and[\s-]+a[\s-]+half)?"
_BEFORE = rf"(?P<number>{NUMBER})(?![\d%]|[.,]\d)"


class NotAnAdult(ValueError):
    """A text would draw a person below 18."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"mentions a person below 18 ({found[:100]!r}); only adults can be drawn")


@dataclass(frozen=True, eq=False, slots=True)
class _Patterns:
    words: Vocabulary
    alone: Vocabulary
    exceptions: Vocabulary
    old: re.Pattern[str]
    young: re.Pattern[str]
    years: re.Pattern[str]
    said: tuple[re.Pattern[str], ...]
    below: re.Pattern[str]
    thing: re.Pattern[str]
    open_end: re.Pattern[str]
    duration: re.Pattern[str]


def find_minor(text: str, vocabulary: Underage | None = None) -> str | None:
    """The first mention of a person below 18, as it is written in the text."""
    patterns = _patterns(vocabulary or default_catalogue().underage)
    return _found(text, patterns) if len(text) <= SHORT else _found.__wrapped__(text, patterns)


@lru_cache(maxsize=4096)
def _found(text: str, patterns: _Patterns) -> str | None:
    """Remembered, as options, names and traits come again and again."""
    folded = fold(text)
    spans = [*_by_word(folded, patterns), *_by_age(folded.text, patterns)]
    if not spans:
        return None
    start, end = folded.origin(*min(spans))
    return text[start:end].strip()


def _by_word(folded: Folded, patterns: _Patterns) -> list[tuple[int, int]]:
    found = [match.span() for match in patterns.words.find(folded)]
    found += [
        match.span()
        for match in patterns.alone.find(folded)
        if patterns.open_end.match(folded.text, match.end())
    ]
    if not found:
        return []
    harmless = [match.span() for match in patterns.exceptions.find(folded)]
    return [
        (start, end)
        for start, end in found
        if not any(first <= start and end <= last for first, last in harmless)
    ]


def _by_age(text: str, patterns: _Patterns) -> list[tuple[int, int]]:
    if not _ANY_NUMBER.search(text):  # as in most texts, and every pattern has one
        return []
    found = [match.span() for match in patterns.young.finditer(text)]
    found += [
        match.span()
        for match in patterns.old.finditer(text)
        if _is_minor(match) and not patterns.thing.match(text, match.end())
    ]
    found += [
        match.span()
        for match in patterns.years.finditer(text)
        if _is_minor(match) and not patterns.duration.search(text, 0, match.start())
    ]
    for said in patterns.said:
        found += [match.span() for match in said.finditer(text) if _is_minor(match)]
    found += [
        match.span() for match in patterns.below.finditer(text) if value_of(match["number"]) <= ADULT_AGE
    ]
    return found


def _is_minor(match: re.Match[str]) -> bool:
    return value_of(match["number"]) < ADULT_AGE


def _one_of(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(fold(word).text) for word in sorted(words, key=len, reverse=True))


@lru_cache(maxsize=4)
def _patterns(words: Underage) -> _Patterns:
    things = _one_of(words.things)
    open_end = rf"(?=[\s]*(?:$|[^\w\s'-]|-\s|(?:{_one_of(words.small_words)}){END}))"
    old, years = _ages(words)
    return _Patterns(
        words=compile_words(words.words),
        alone=compile_words(words.alone),
        exceptions=compile_words(words.exceptions),
        old=re.compile(old),
        young=re.compile(
            rf"{START}{NUMBER}{_GAP}(?:months?|mos?|weeks?|days?){_GAP}(?:olds?|of{_GAP}age){END}"
            rf"(?!\s+(?:{things}){open_end})"
        ),
        years=re.compile(years),
        said=tuple(map(re.compile, _said(_one_of(words.people), open_end))),
        below=re.compile(_below(_one_of(words.people))),
        thing=re.compile(rf"\s+(?:{things}){open_end}"),
        open_end=re.compile(open_end),
        duration=re.compile(rf"{START}(?:{_one_of(words.durations)})\s+(?:the\s+)?$"),
    )


def _ages(words: Underage) -> tuple[str, str]:
    """`16 years old`, `16yo`, `16歳`; and `16 years` where nothing but a person follows."""
    number = rf"(?<![a-z0-9])(?<!\d[.,]){_AFTER}{_GAP}"
    year = rf"(?:years?|yrs?|y){_GAP}(?:olds?|young|of{_GAP}age)"
    old = rf"{number}(?:{year}|y[\W_]{{0,2}}o(?!-?yo)|{_one_of(words.units)}){END}"
    person = rf"(?=\s*(?:$|[^\w\s'’-]|(?:{_one_of(words.people)}){END}))"
    return old, rf"{number}(?:yrs?|years?){END}{person}"


def _said(people: str, open_end: str) -> Iterator[str]:
    """`aged 16`, `turned 16`; `she is only 16`; `girl, 16,`."""
    yield (
        rf"{START}(?:aged?|ages|age{_GAP}of|turn(?:s|ed|ing)){END}{_GAP}"
        rf"(?:(?:about|around|only|just|is|of){END}{_GAP})?{_BEFORE}"
    )
    yield (
        rf"{START}(?:{people}|they|i)(?:\s+(?:is|am|are|was|were|of|who\s+is)|['’](?:s|m|re))\s+"
        rf"(?:(?:about|around|only|just|barely)\s+)?(?!one\s+of){_BEFORE}{END}{open_end}"
    )
    yield rf"{START}(?:{people})\s*[,(]\s*{_BEFORE}{END}\s*(?:$|[,;.)])"


def _below(people: str) -> str:
    """`under 18`, `not yet eighteen`; but not `under 18 degrees`."""
    return (
        rf"{START}(?:under|below|younger\s+than|not\s+yet|not\s+even|almost|nearly)\s+"
        rf"(?:(?:the\s+)?age\s+(?:of\s+)?)?{_BEFORE}{END}"
        rf"(?=\s*(?:$|[^\w\s]|years?|yrs?|{people}))"
    )
