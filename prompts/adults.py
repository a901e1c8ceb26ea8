"""Detection of persons below 18 in texts, in words and numbers of all known languages."""

from dataclasses import dataclass
from functools import lru_cache

from prompts.age_mentions import Ages, compile_ages, find_ages
from prompts.ages import AgeNotUnderstood, age_in_years
from prompts.catalogue import Underage, default_catalogue
from prompts.corrections import Corrections, compile_corrections, correct
from prompts.languages import Kind
from prompts.normalization import NormalizedText, normalize
from prompts.number_words import number_words
from prompts.respelling import respell
from prompts.sentences import ADULT_AGE
from prompts.views import CLAUSE_END, plain_view
from prompts.vocabulary import Lexicon, Span, Vocabulary, compile_words

__all__ = ["ADULT_AGE", "AgeNotUnderstood", "NotAnAdult", "age_in_years", "find_minor"]

_REMEMBERED = 1_000
"""Maximum length of a text whose result is cached."""

_LONG_NUMBER = 6
"""Letters of a number word that is also found misspelled."""


class NotAnAdult(ValueError):
    """A text mentions a person below 18."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"mentions a person below 18 ({found[:100]!r}); only adults can be drawn")


@dataclass(frozen=True, eq=False, slots=True)
class _Filter:
    children: Vocabulary
    alone: Vocabulary
    harmless: Vocabulary
    small: Lexicon[None]
    ages: Ages
    corrections: Corrections


def find_minor(text: str, vocabulary: Underage | None = None) -> str | None:
    """Return the first mention of a person below 18 as it is in the text, or None.

    Every text that may become part of an image is checked by this function. The vocabulary defaults to the
    one of the catalogue.
    """
    filter_ = _compiled(vocabulary or default_catalogue().underage)
    return _found(text, filter_) if len(text) <= _REMEMBERED else _found.__wrapped__(text, filter_)


@lru_cache(maxsize=4096)
def _found(text: str, filter_: _Filter) -> str | None:
    normalized = normalize(text)
    span = _first(normalized, filter_)
    if span is None and (corrected := correct(normalized.text, filter_.corrections)):
        found = _first(NormalizedText(corrected.text, corrected.text), filter_)
        span = corrected.origin(*found) if found else None
    if span is None:
        return None
    start, end = normalized.origin(*span)
    return normalized.source[start:end].strip()


def _first(normalized: NormalizedText, filter_: _Filter) -> Span | None:
    spans = [*_children(normalized, filter_), *_ages(normalized, filter_)]
    return min(spans, key=lambda span: (span[0], -span[1]), default=None)


def _children(normalized: NormalizedText, filter_: _Filter) -> list[Span]:
    """Return the words for children that are not part of a harmless phrase."""
    found = filter_.children.find(normalized)
    found += [
        span for span in filter_.alone.find_plain(normalized) if _is_alone(normalized.text, span[1], filter_)
    ]
    if not found:
        return []
    return _outside(found, filter_.harmless.find_plain(normalized))


def _outside(spans: list[Span], others: list[Span]) -> list[Span]:
    """Return the spans that none of the others contains. Takes one pass over both."""
    kept: list[Span] = []
    covered, at = 0, 0
    for start, end in sorted(spans):
        while at < len(others) and others[at][0] <= start:
            covered = max(covered, others[at][1])
            at += 1
        if end > covered:
            kept.append((start, end))
    return kept


def _is_alone(text: str, end: int, filter_: _Filter) -> bool:
    """Return whether no noun follows: the clause ends, or a function word comes next."""
    following = plain_view(text[end : end + 40]).text
    if not following.strip() or following.startswith(f" {CLAUSE_END} "):
        return True
    return any(start == 1 for start, _, _ in filter_.small.scan(following))


def _ages(normalized: NormalizedText, filter_: _Filter) -> list[Span]:
    respelled = respell(normalized.text)
    view = plain_view(respelled.text)
    found = find_ages(view.text, filter_.ages)
    return [respelled.origin(*view.origin(*found))] if found else []


@lru_cache(maxsize=4)
def _compiled(words: Underage) -> _Filter:
    languages = words.languages.values()
    small: Lexicon[None] = Lexicon()
    for word in {normalize(word).text for language in languages for word in language.patterns(Kind.SMALL)}:
        small.add(word, None)
    return _Filter(
        children=compile_words(word for language in languages for word in language.children),
        alone=compile_words(word for language in languages for word in language.alone),
        harmless=compile_words(word for language in languages for word in language.harmless),
        small=small,
        ages=compile_ages(words.languages),
        corrections=_corrections(words),
    )


def _corrections(words: Underage) -> Corrections:
    languages = words.languages.values()
    numbers = {word for language in languages for word in number_words(language)}
    people = {normalize(word).text for language in languages for word in language.people}
    misspelled = {normalize(word).text for language in languages for word in language.misspelled}
    known = numbers | {normalize(word).text for word in words.not_misspelled}
    known |= {
        part
        for language in languages
        for pattern in language.all_patterns()
        for part in normalize(pattern.replace("*", " ")).text.split()
    }
    return compile_corrections(
        misspelled | {word for word in numbers if len(word) >= _LONG_NUMBER}, numbers | people, known
    )
