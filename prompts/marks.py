"""The words of a sentence that have to do with ages, each at its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prompts.languages import Kind
from prompts.views import CLAUSE_END
from prompts.vocabulary import Span

LOOKBACK: Final = 5
"""Words of a clause that are looked at before a number."""
MAX_WORD_LENGTH: Final = 40
"""Characters; a longer word ends what is looked at, so that no text takes long."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word or phrase that has to do with ages, of one language or (empty) of all."""

    kind: Kind
    language: str
    start: int
    end: int


@dataclass(slots=True)
class MarkIndex:
    """A view with the places of its marks."""

    text: str
    starts: dict[int, list[Mark]] = field(default_factory=dict)
    ends: dict[int, list[Mark]] = field(default_factory=dict)

    def add(self, mark: Mark) -> None:
        """Note a word of the sentence."""
        self.starts.setdefault(mark.start, []).append(mark)
        self.ends.setdefault(mark.end, []).append(mark)

    def words_before(self, start: int) -> Iterator[Span]:
        """The words of the same clause before a place, the nearest first."""
        end = start - 1
        for _ in range(LOOKBACK):
            word = self.word_before(end)
            if word <= 0 or self.text[word:end] == CLAUSE_END:
                return
            yield word, end
            end = word - 1

    def word_before(self, end: int) -> int:
        """The start of the word that ends there; 0 when there is none, or a very long one."""
        return self.text.rfind(" ", max(end - MAX_WORD_LENGTH, 0), max(end, 0)) + 1

    def is_open(self, end: int) -> bool:
        """True if no noun follows: a clause ends there, or another part of it begins."""
        return self.text[end] == " " and (self.ends_clause(end) or self.begins(end + 1, Kind.SMALL))

    def ends_clause(self, end: int) -> bool:
        """True if a clause ends at a place."""
        return end + 1 >= len(self.text) or self.text.startswith(f"{CLAUSE_END} ", end + 1)

    def begins(self, place: int, kind: Kind) -> bool:
        """True if a mark of this kind begins at a place."""
        return any(mark.kind is kind for mark in self.starts.get(place, ()))

    def finishes(self, place: int, kind: Kind) -> bool:
        """True if a mark of this kind ends at a place."""
        return any(mark.kind is kind for mark in self.ends.get(place, ()))
