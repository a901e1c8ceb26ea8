"""Index of the phrases about ages in a sentence, by their positions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prompts.languages import Kind
from prompts.views import CLAUSE_END
from prompts.vocabulary import Span

LOOKBACK: Final = 5
"""Number of words before a number that are examined."""
MAX_WORD_LENGTH: Final = 40
"""Maximum length of a word. A longer one ends the search, which bounds the time for any text."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A phrase about ages. An empty `language` means all languages."""

    kind: Kind
    language: str
    start: int
    end: int


@dataclass(slots=True)
class MarkIndex:
    """A view and the positions of its marks."""

    text: str
    starts: dict[int, list[Mark]] = field(default_factory=dict)
    ends: dict[int, list[Mark]] = field(default_factory=dict)

    def add(self, mark: Mark) -> None:
        """Add a phrase of the sentence."""
        self.starts.setdefault(mark.start, []).append(mark)
        self.ends.setdefault(mark.end, []).append(mark)

    def words_before(self, start: int) -> Iterator[Span]:
        """Yield the words before a position in the same clause, the nearest first."""
        end = start - 1
        for _ in range(LOOKBACK):
            word = self.word_before(end)
            if word <= 0 or self.text[word:end] == CLAUSE_END:
                return
            yield word, end
            end = word - 1

    def word_before(self, end: int) -> int:
        """Return the start of the word that ends at a position, or 0 if there is none or it is too long."""
        return self.text.rfind(" ", max(end - MAX_WORD_LENGTH, 0), max(end, 0)) + 1

    def is_open(self, end: int) -> bool:
        """Return whether no noun follows: the clause ends, or a function word comes next."""
        return self.text[end] == " " and (self.ends_clause(end) or self.begins(end + 1, Kind.SMALL))

    def ends_clause(self, end: int) -> bool:
        """Return whether a clause ends at a position."""
        return end + 1 >= len(self.text) or self.text.startswith(f"{CLAUSE_END} ", end + 1)

    def begins(self, place: int, kind: Kind) -> bool:
        """Return whether a mark of a kind starts at a position."""
        return any(mark.kind is kind for mark in self.starts.get(place, ()))

    def finishes(self, place: int, kind: Kind) -> bool:
        """Return whether a mark of a kind ends at a position."""
        return any(mark.kind is kind for mark in self.ends.get(place, ()))
