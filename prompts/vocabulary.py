"""Lists of words, found in a text however they are disguised: `n.u.d.e`, `N U D E`, `t33n`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from prompts.folding import Folded, fold

START = r"(?<![^\W_])"
END = r"(?![^\W_])"
_INSIDE = r"(?:[^\w\s]|_){0,2}"
_SPACED = r"[\W_]{1,3}"
_BETWEEN_WORDS = r"[\W_]{0,4}"
_TWO_WORDS = r"(?:[\W_]+\w+){0,2}[\W_]{1,4}"
_LEET = {"a": "a4@", "e": "e3", "i": "i1!|", "l": "l1|", "o": "o0", "s": "s5$", "t": "t7+"}


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """Words to be found in folded text. Equal only to itself, so that it is a cheap cache key."""

    pattern: re.Pattern[str]

    def find(self, folded: Folded) -> Iterator[re.Match[str]]:
        """The matches that read as words: at least half letters, so that 455 is only a number."""
        for match in self.pattern.finditer(folded.text):
            signs = [sign for sign in match.group() if sign.isalnum() or sign in "@$"]
            if sum(sign.isalpha() for sign in signs) * 2 >= len(signs):
                yield match


def compile_words(words: Iterable[str]) -> Vocabulary:
    """One pattern for all words and phrases, to be searched in folded text.

    `*` at the end of a word lets it end in any way; `...` stands for up to two words. Words are
    grouped by their first letter, which makes the search five times faster.
    """
    folded = sorted({fold(word).text for word in words}, key=lambda word: (-len(word), word))
    by_letter: dict[str, list[str]] = {}
    for word in filter(str.isascii, folded):
        by_letter.setdefault(word[0], []).append(_phrase(word))
    groups = [f"(?={_letter(first)})(?:{'|'.join(them)})" for first, them in by_letter.items()]
    # other scripts write without spaces, or bend their words: those are found anywhere
    others = [re.escape(word) for word in folded if not word.isascii()]
    latin = [f"{START}(?:{'|'.join(groups)})"] if groups else []
    return Vocabulary(re.compile("|".join([*latin, *others]) or "(?!)"))


def _phrase(phrase: str) -> str:
    words = phrase.split()
    pattern = _word(words[0])
    for before, word in pairwise(words):
        if word == "...":
            continue
        pattern += (_TWO_WORDS if before == "..." else _BETWEEN_WORDS) + _word(word)
    tail = r"[^\W_]*" if phrase.endswith("*") else END
    whole = f"{pattern}{tail}"
    if len(words) > 1 or phrase.endswith("*") or len(phrase) < 3:
        return whole
    return f"{whole}|{_SPACED.join(_letter(letter) for letter in phrase)}{END}"


def _word(word: str) -> str:
    """The letters with leet, each up to three times as often, signs but no spaces between them."""
    parts = []
    for letter, run in groupby(word.removesuffix("*")):
        parts.append(f"{_letter(letter)}(?:{_INSIDE}{_letter(letter)}){{{len(list(run)) - 1},2}}")
    return _INSIDE.join(parts)


def _letter(letter: str) -> str:
    choices = _LEET.get(letter)
    return f"[{re.escape(choices)}]" if choices else re.escape(letter)
