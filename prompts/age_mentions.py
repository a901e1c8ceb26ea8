"""Detection of numbers that are the age of a person below 18."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from prompts.languages import UNITS, Kind, Language
from prompts.marks import MAX_WORD_LENGTH, Mark, MarkIndex
from prompts.normalization import normalize
from prompts.number_words import Number, NumberWords, digits, doubtful, numeral_starts
from prompts.sentences import ADULT_AGE, DECIDING, Sentence
from prompts.views import plain_view
from prompts.vocabulary import Lexicon, Span

_ANYWHERE = frozenset({*UNITS, Kind.UNDER_AFTER})
"""Kinds that may follow a number without a space."""
_SHARED = frozenset({Kind.FILLERS, Kind.THINGS, Kind.ANIMALS, Kind.ARTICLES, Kind.SMALL})
"""Kinds that apply to sentences of every language."""
_JOINED = frozenset({Kind.OLD, Kind.MONTHS})
"""Kinds that are also found without spaces: `16yearold`."""

_CORE = 600
"""Length of the part of a passage whose numbers are checked."""
_BEFORE, _BEHIND = 200, 160
"""Length of the context before and after that part. It exceeds the context of every rule."""


@dataclass(frozen=True, eq=False, slots=True)
class Ages:
    """The age words of all languages, in two lexicons."""

    parts: Lexicon[tuple[Kind, str]]
    months: Lexicon[None]
    """Units of babies' ages, for which a number above 18 counts."""
    begun: Lexicon[str]
    """First words of numbers, with their languages."""
    numbers: Mapping[str, NumberWords]
    ending: re.Pattern[str]
    roughly: re.Pattern[str]
    """Words after a number that make it approximate."""


def compile_ages(languages: Mapping[str, Language]) -> Ages:
    """Combine the words of all languages."""
    parts: Lexicon[tuple[Kind, str]] = Lexicon()
    begun: Lexicon[str] = Lexicon()
    months: Lexicon[None] = Lexicon()
    numbers = {code: NumberWords(code, language) for code, language in languages.items()}
    for kind in Kind:
        patterns = {
            (_spelled(pattern), "" if kind in _SHARED else code)
            for code, language in languages.items()
            for pattern in language.patterns(kind)
        }
        for pattern, code in sorted(patterns):
            parts.add(pattern, (kind, code), anywhere=kind in _ANYWHERE)
            if kind is Kind.MONTHS:
                months.add(pattern, None, anywhere=True)
                months.add(f"{pattern.replace(' ', '').rstrip('*')}*", None, anywhere=True)
            if kind in _JOINED and " " in pattern:
                parts.add(f"{pattern.replace(' ', '').rstrip('*')}*", (kind, code), anywhere=True)
    for code, known in numbers.items():
        for word in known.values | known.ordinals:
            begun.add(f"{word}*", code)
    endings = _any_of(ending for language in languages.values() for ending in language.number_endings)
    roughly = _any_of(word for language in languages.values() for word in language.approximations)
    return Ages(parts, months, begun, numbers, endings, roughly)


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for one of these words, attached to a number or after it."""
    spelled = "|".join(map(re.escape, sorted(set(map(_spelled, words)), key=len, reverse=True)))
    return re.compile(f" ?(?:{spelled})(?= )" if spelled else "(?!)")


def find_ages(text: str, ages: Ages) -> Span | None:
    """Return the span of the first age below 18 in a plain view, in digits or words, or None.

    Only passages around numbers are checked. Results are cached by passage.
    """
    until = 0
    for at in sorted({*ages.begun.starts(text), *numeral_starts(text)}):
        if at < until:
            continue
        begin, passage = _passage(text, at)
        if found := _age_in(passage, at - begin, ages):
            return begin + found[0], begin + found[1]
        until = at + _CORE
    return None


def _passage(text: str, start: int) -> tuple[int, str]:
    """Return the start of the passage around a position, and its text between spaces."""
    first, last = max(start - _BEFORE, 0), min(start + _CORE + _BEHIND, len(text))
    if first and (space := text.find(" ", first, start)) >= 0:
        first = space
    if last < len(text) and (space := text.rfind(" ", start + _CORE, last)) >= 0:
        last = space + 1
    head = "" if text[first] == " " else " "
    return first - len(head), f"{head}{text[first:last]}{'' if text[last - 1] == ' ' else ' '}"


@lru_cache(maxsize=2048)
def _age_in(text: str, first: int, ages: Ages) -> Span | None:
    """Return the first age below 18 whose number starts from near `first` to `_CORE` characters later."""
    core = range(first - MAX_WORD_LENGTH, first + _CORE)
    numerals = [*digits(text), *doubtful(text)]
    most = math.inf if any(True for _ in ages.months.starts(text)) else ADULT_AGE
    begun = {(start, code) for start, _, code in ages.begun.scan(text)}
    if not begun and not any(number.value <= most for number in numerals):
        return None
    marks = list(ages.parts.scan(text))
    languages = {language for _, _, (kind, language) in marks if kind in DECIDING}
    read = _read(text, (one for one in begun if one[1] in languages), ages)
    numbers = [_whole(number, text, ages) for number in (*numerals, *read)] if languages else []
    young = [number for number in numbers if number.start in core and number.value <= most]
    if not young:
        return None
    sentence = Sentence(MarkIndex(text), ages.ending, {number.start: number for number in reversed(numbers)})
    for start, end, (kind, language) in marks:
        sentence.marks.add(Mark(kind, language, start, end))
    for number in sorted(young, key=_by_start):
        last = sentence.minor_age_end(number)
        if last is not None:
            return number.start, last
    return None


def _whole(number: Number, text: str, ages: Ages) -> Number:
    """Return the number with a following word that makes it approximate."""
    behind = ages.roughly.match(text, number.end)
    return replace(number, end=behind.end(), rough=True) if behind else number


def _by_start(number: Number) -> int:
    return number.start


def _read(text: str, begun: Iterable[tuple[int, str]], ages: Ages) -> Iterator[Number]:
    """Yield the numbers in words. A number inside a longer one of any language is left out."""
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
