"""Parser for numbers in digits and in words of a language."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from prompts.languages import Language
from prompts.normalization import normalize
from prompts.views import plain_view

_DIGITS = re.compile(r"(?<![a-z\d.])\d+(?:\.\d+)?(?!\d)")
_DIGIT = re.compile("[0-9]")
_ROMAN = re.compile(r" (?=[ivx])(x?)(ix|iv|v?i{0,3})(?= )")
_MISSPELLED = re.compile(r" (?:\d[a-zбз]|[a-zбз]\d)(?!\w)(?=\W)")
_DIGIT_ALIKE = str.maketrans("liosbzgqбз", "1105629963")
_MOST_PARTS = 5
_LONGEST_ORDINAL = 20
_LONGEST = 9
"""Maximum number of digits of an age or a year."""


class Form(Enum):
    """Certainty with which a word is a number."""

    SURE = "digits or words"
    DOUBTFUL = "a Roman numeral, or a digit and a letter that looks like one"
    ORDINAL = "an ordinal word"


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a view. `language` is set for number words."""

    start: int
    end: int
    value: float
    language: str | None = None
    form: Form = Form.SURE
    rough: bool = False
    """Followed by a word such as `ish`, which belongs to it."""


def number_words(language: Language) -> dict[str, int]:
    """The values of the number words of a language."""
    small = zip(language.numbers, range(1, 20), strict=False)
    tens = zip(language.tens, range(20, 100, 10), strict=False)
    words = (*small, *tens, (language.hundred, 100))
    return {_spelled(word): value for spelled, value in words for word in spelled.split("|") if word}


class NumberWords:
    """Number words of one language."""

    def __init__(self, code: str, language: Language) -> None:
        self._code = code
        self.values = number_words(language)
        self.ordinals = {
            _spelled(stem): value
            for value, stems in enumerate(language.ordinals, 1)
            for stem in stems.split("|")
        }
        self._joiners = tuple(map(_spelled, language.joiners))
        self._longest = max(map(len, self.values), default=0)
        self._multiplies = language.multiplies

    def read(self, text: str, start: int) -> Iterator[Number]:
        """Yield the longest number that starts at a position, and the longest one of whole words."""
        parts: list[int] = []
        number: Number | None = None
        of_whole_words: Number | None = None
        end = at = start
        while (word := self._word(text, at)) and self._continues(parts, self.values[word], at - end):
            parts.append(self.values[word])
            end = at + len(word)
            number = Number(start, end, _value(parts, self._multiplies), self._code)
            if text[end] == " ":
                of_whole_words = number
            at = self._after_joiner(text, end)
        yield from filter(None, dict.fromkeys((number, of_whole_words)))
        yield from self._ordinal(text, start)

    def _ordinal(self, text: str, start: int) -> Iterator[Number]:
        end = text.find(" ", start, start + _LONGEST_ORDINAL)
        for size in range(end - start, 0, -1):
            if value := self.ordinals.get(text[start : start + size]):
                yield Number(start, end, value, self._code, Form.ORDINAL)
                return

    def _continues(self, parts: list[int], value: int, gap: int) -> bool:
        """Return whether a value can continue a number: `twenty five`, not `two five`."""
        if not parts:
            return True
        last = parts[-1]
        if last < 10:
            return value == 100 or (value == 10 and self._multiplies) or (20 <= value < 100 and gap > 0)
        if last == 10:
            return value < 10 and 11 not in self.values.values()
        return value < last and (value < 20 or last == 100) and len(parts) < _MOST_PARTS

    def _word(self, text: str, at: int) -> str | None:
        for size in range(min(self._longest, len(text) - at), 0, -1):
            if text[at : at + size] in self.values:
                return text[at : at + size]
        return None

    def _after_joiner(self, text: str, at: int) -> int:
        """Return the position after a space or a joiner, where another number word may start."""
        skipped = at + (text[at] == " ")
        for joiner in self._joiners:
            if text.startswith(joiner, skipped):
                behind = skipped + len(joiner)
                behind += text[behind] == " "
                if self._word(text, behind):
                    return behind
        return skipped


def numeral_starts(text: str) -> Iterator[int]:
    """Yield positions near the starts of numbers that are not in words, at most one character off."""
    yield from (match.start() for match in _DIGIT.finditer(text))
    yield from (match.start(1) for match in _ROMAN.finditer(text))


def digits(text: str) -> Iterator[Number]:
    """Yield the numbers in digits."""
    for match in _DIGITS.finditer(text):
        if len(match.group()) <= _LONGEST:
            yield Number(match.start(), match.end(), float(match.group()))


def doubtful(text: str) -> Iterator[Number]:
    """Yield Roman numerals up to 18, and misspelled numbers such as `l6`."""
    for match in _ROMAN.finditer(text):
        if match.group() != " i":
            yield Number(match.start() + 1, match.end(), _roman(*match.groups()), form=Form.DOUBTFUL)
    for match in _MISSPELLED.finditer(text):
        digits_only = match.group()[1:].translate(_DIGIT_ALIKE)
        if digits_only.isdigit():
            yield Number(match.start() + 1, match.end(), int(digits_only), form=Form.DOUBTFUL)


def _roman(tens: str, ones: str) -> int:
    return 10 * len(tens) + {"ix": 9, "iv": 4}.get(ones, 5 * ones.count("v") + ones.count("i"))


def _spelled(word: str) -> str:
    return plain_view(normalize(word).text).text.strip()


def _value(parts: list[int], multiplies: bool) -> int:
    """Return the value of number words: `20 5` is 25, `5 100` is 500, with multiplied tens `2 10 6` is 26."""
    total = 0
    for part in parts:
        factor = total % part if part == 100 or (part == 10 and multiplies) else 0
        total += factor * part - factor if factor else part
    return total
