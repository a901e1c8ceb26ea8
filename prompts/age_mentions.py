"""Numbers in a text that are the age of a person below 18."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from prompts.languages import UNITS, Kind, Language
from prompts.marks import Mark, MarkIndex
from prompts.normalization import normalize
from prompts.number_words import Number, NumberWords, digits, doubtful
from prompts.sentences import Sentence
from prompts.views import plain_view
from prompts.vocabulary import Lexicon, Span

_ANYWHERE = frozenset({*UNITS, Kind.UNDER_AFTER})
"""May begin where a number ends, without a space."""
_SHARED = frozenset({Kind.FILLERS, Kind.PEOPLE, Kind.THINGS, Kind.ANIMALS, Kind.ARTICLES, Kind.SMALL})
"""Count in sentences of every language."""
_JOINED = frozenset({Kind.OLD, Kind.MONTHS})
"""Also found without their spaces: `16yearold`."""


@dataclass(frozen=True, eq=False, slots=True)
class Ages:
    """All that the languages know about ages, in two lexicons."""

    parts: Lexicon[tuple[Kind, str]]
    begun: Lexicon[str]
    """First words of numbers, with their language."""
    numbers: Mapping[str, NumberWords]
    ending: re.Pattern[str]


def compile_ages(languages: Mapping[str, Language]) -> Ages:
    """Put the words of all languages together."""
    parts: Lexicon[tuple[Kind, str]] = Lexicon()
    begun: Lexicon[str] = Lexicon()
    numbers = {code: NumberWords(code, language) for code, language in languages.items()}
    for kind in Kind:
        patterns = {
            (_spelled(pattern), "" if kind in _SHARED else code)
            for code, language in languages.items()
            for pattern in language.patterns(kind)
        }
        for pattern, code in sorted(patterns):
            parts.add(pattern, (kind, code), anywhere=kind in _ANYWHERE)
            if kind in _JOINED and " " in pattern:
                parts.add(f"{pattern.replace(' ', '').rstrip('*')}*", (kind, code), anywhere=True)
    for code, known in numbers.items():
        for word in known.values | known.ordinals:
            begun.add(f"{word}*", code)
    endings = {_spelled(ending) for language in languages.values() for ending in language.number_endings}
    ending = "|".join(map(re.escape, sorted(endings, key=len, reverse=True)))
    return Ages(parts, begun, numbers, re.compile(f" ?(?:{ending})(?= )" if ending else "(?!)"))


def find_ages(text: str, ages: Ages) -> Iterator[Span]:
    """The first spans of a plain view that say an age below 18: in digits, and in words."""
    numerals = [*digits(text), *doubtful(text)]
    begun = {(start, language) for start, _, language in ages.begun.scan(text)}
    if not numerals and not begun:
        return
    sentence = Sentence(MarkIndex(text), ages.ending)
    for start, end, (kind, language) in ages.parts.scan(text):
        sentence.add(Mark(kind, language, start, end))
    if not sentence.languages:
        return
    read = list(_read(text, [one for one in begun if one[1] in sentence.languages], ages))
    sentence.numbers = {number.start: number for number in (*read, *numerals)}
    for numbers in (numerals, read):
        found = ((number.start, sentence.minor_age_end(number)) for number in numbers)
        yield from islice(((start, end) for start, end in found if end), 1)


def _read(text: str, begun: Iterable[tuple[int, str]], ages: Ages) -> Iterator[Number]:
    """The numbers in words, none that begins within a longer one, of whatever language."""
    read = [number for start, language in begun for number in ages.numbers[language].read(text, start)]
    read.sort(key=lambda number: (number.start, -number.end))
    first, last = -1, -1
    for number in read:
        if number.start > first and number.start < last and number.end <= last:
            continue
        if number.end > last:
            first, last = number.start, number.end
        yield number


def _spelled(pattern: str) -> str:
    start, end = ("*" if pattern.startswith("*") else ""), ("*" if pattern.endswith("*") else "")
    return f"{start}{plain_view(normalize(pattern.strip('*')).text).text.strip()}{end}"
