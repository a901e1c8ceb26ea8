"""Search for many words in one pass, including disguised ones: `n.u.d.e`, `N U D E`, `t33n`."""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final, Generic, TypeVar

import ahocorasick

from prompts.normalization import NormalizedText, normalize
from prompts.views import (
    CLAUSE_END,
    disguised_views,
    plain_view,
    without_leet,
    without_repeats,
)

Meaning = TypeVar("Meaning")
Span = tuple[int, int]

_GAP: Final = "..."
_ACCENTED: Final = "="
_GAP_WORDS = 2
_GAP_CHARACTERS = 80
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u3000-\ud7ff\U0001f000-\U0010ffff]")
_SHORTEST_SPELLED = 3
_SHORTEST_JOINED = 6
_SHORTEST_HIDDEN = 2
"""`lil` would be a single letter in disguise."""


class Lexicon(Generic[Meaning]):
    """Patterns with meanings, all found in one pass over a view (Aho-Corasick).

    `*` at an end of a pattern matches the rest of a word. Scripts without spaces do not need it.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, bool, bool, list[Meaning]]] = {}
        self._automaton: ahocorasick.Automaton | None = None

    def add(self, pattern: str, meaning: Meaning, *, anywhere: bool = False) -> None:
        """Add a normalised pattern. With `anywhere` it may also start inside a word."""
        body = pattern.strip("*")
        unspaced = is_unspaced(body)
        left = not (unspaced or anywhere or pattern.startswith("*"))
        right = not (unspaced or pattern.endswith("*"))
        key = f"{' ' if left else ''}{body}{' ' if right else ''}"
        goes_on = left and not right
        self._found.setdefault(key, (len(body), right, goes_on, []))[3].append(meaning)

    def scan(self, text: str) -> Iterator[tuple[int, int, Meaning]]:
        """Yield all matches in a view: start, end, meaning. A match extends to the end of its word."""
        for last, (length, right, goes_on, meanings) in self._matches(text):
            end = last if right else last + 1
            start = end - length
            if goes_on:
                end = text.index(" ", end)
            for meaning in meanings:
                yield start, end, meaning

    def starts(self, text: str) -> Iterator[int]:
        """Return the start positions of all matches."""
        return (last - length + (not right) for last, (length, right, _, _) in self._matches(text))

    def _matches(self, text: str) -> Iterable[tuple[int, tuple[int, bool, bool, list[Meaning]]]]:
        if not self._found:
            return ()
        if self._automaton is None:
            self._automaton = ahocorasick.Automaton()
            for key, found in self._found.items():
                self._automaton.add_word(key, found)
            self._automaton.make_automaton()
        matches: Iterable[tuple[int, tuple[int, bool, bool, list[Meaning]]]] = self._automaton.iter(text)
        return matches


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, or the part of a phrase before or after a gap."""

    spelled: str | None = None
    """Required spelling for words with repeated letters."""
    opens: frozenset[int] = frozenset()
    """Phrases that it starts."""
    closes: frozenset[int] = frozenset()
    """Phrases that it ends."""
    accented: str = ""
    """Required spelling for words whose accents distinguish them."""


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """Words to find in normalised text. Compared by identity, so that it is a cheap cache key."""

    plain: Lexicon[_Word] = field(default_factory=Lexicon)
    disguised: Lexicon[_Word] = field(default_factory=Lexicon)

    def find(self, normalized: NormalizedText) -> list[Span]:
        """Return the spans of all words, including disguised ones, in order."""
        return sorted({*self.find_plain(normalized), *self._find_disguised(normalized)})

    def find_plain(self, normalized: NormalizedText) -> list[Span]:
        """Return the spans of undisguised words, in order."""
        view = plain_view(normalized.text)
        matches = (
            (start, end, word)
            for start, end, word in self.plain.scan(view.text)
            if not word.accented or _is_accented(normalized, view.origin(start, end), word.accented)
        )
        return sorted({view.origin(start, end) for start, end in _whole(matches, view.text)})

    def _find_disguised(self, normalized: NormalizedText) -> set[Span]:
        found: set[Span] = set()
        for hidden in disguised_views(normalized.text):
            hints = (
                (start, end, word)
                for start, end, word in self.disguised.scan(hidden.text)
                if word.spelled is None or hidden.matches(start, word.spelled)
            )
            spans = {hidden.origin(start, end) for start, end in _whole(hints, hidden.text)}
            found |= {span for span in spans if _reads_as_word(normalized.text[slice(*span)])}
        return found


def compile_words(words: Iterable[str]) -> Vocabulary:
    """Compile words and phrases to a vocabulary.

    `*` at an end of a word matches the rest of a word. `...` stands for up to two words. A hyphen matches
    any sign or none, but no space. `=` before a word makes its accents significant: `=niña` is not Nina.
    `<one|two>` stands for either word.
    """
    vocabulary = Vocabulary()
    words = {one for word in words for one in expanded(word)}
    for word in sorted(word for word in words if word.startswith(_ACCENTED)):
        exact = unicodedata.normalize("NFC", word.removeprefix(_ACCENTED)).casefold()
        vocabulary.plain.add(normalize(exact).text, _Word(accented=exact))
    normalized = sorted({normalize(word).text for word in words if not word.startswith(_ACCENTED)})
    opens: dict[str, set[int]] = {}
    closes: dict[str, set[int]] = {}
    for phrase, word in enumerate(normalized):
        first, gap, last = (part.strip() for part in word.partition(_GAP))
        if gap:
            opens.setdefault(first, set()).add(phrase)
            closes.setdefault(last, set()).add(phrase)
        else:
            _add(vocabulary, word, _Word())
    for part in opens | closes:
        phrases = frozenset(opens.get(part, ())), frozenset(closes.get(part, ()))
        _add(vocabulary, part, _Word(None, *phrases))
    return vocabulary


def expanded(pattern: str) -> Iterator[str]:
    """Yield the patterns that a pattern with `<one|two>` stands for."""
    parts = (part.split("|") for part in re.split("[<>]", pattern))
    return (" ".join("".join(words).split()) for words in product(*parts))


def is_unspaced(text: str) -> bool:
    """Return whether a text is in a script without spaces between words."""
    return _UNSPACED.search(text) is not None


def _add(vocabulary: Vocabulary, pattern: str, word: _Word) -> None:
    """Add a word or a part of a phrase in its plain and its disguised spellings."""
    start, end = ("*" if pattern.startswith("*") else ""), ("*" if pattern.endswith("*") else "")
    spelled = plain_view(pattern.replace("*", "").replace("-", "")).text.strip()
    joined = spelled.replace(" ", "")
    spellings = {spelled} | ({joined} if len(joined) >= _SHORTEST_JOINED else set())
    for one in sorted(spellings):
        vocabulary.plain.add(f"{start}{one}{end}", word)
        letters = without_leet(one)
        hidden = without_repeats(letters)
        if len(hidden) >= _SHORTEST_HIDDEN:
            repeated = word if hidden == letters else replace(word, spelled=letters)
            vocabulary.disguised.add(f"{start}{hidden}{end}", repeated)
    shortest = 2 if is_unspaced(spelled) else _SHORTEST_SPELLED
    letters = without_leet(spelled)
    if joined == spelled and len(spelled) >= shortest and len(without_repeats(letters)) >= _SHORTEST_HIDDEN:
        vocabulary.disguised.add(" ".join(letters), word)


def _whole(matches: Iterable[tuple[int, int, _Word]], text: str) -> Iterator[Span]:
    """Yield whole matches, and pairs of parts of one phrase with few words between them."""
    opened: deque[tuple[int, int, frozenset[int]]] = deque()
    for start, end, word in matches:
        if word.opens:
            opened.append((start, end, word.opens))
        elif not word.closes:
            yield start, end
        if not word.closes or not opened:
            continue
        while opened and start - opened[0][1] > _GAP_CHARACTERS:
            opened.popleft()
        for first, until, phrases in opened:
            if until < start and phrases & word.closes and _words(text, until, start) <= _GAP_WORDS:
                yield first, end


def _is_accented(normalized: NormalizedText, span: Span, word: str) -> bool:
    start, end = normalized.origin(*span)
    return normalized.source[start:end].casefold() == word


def _words(text: str, start: int, end: int) -> int:
    return sum(word != CLAUSE_END for word in text[start:end].split())


def _reads_as_word(found: str) -> bool:
    """Return whether at least half of a match is letters, so that 455 is only a number."""
    signs = [sign for sign in found if sign.isalnum() or sign in "@$"]
    return sum(sign.isalpha() for sign in signs) * 2 >= len(signs)
