"""Parser for ages in years, in digits or words."""

import math
import re
import unicodedata
from typing import Final

from prompts.normalization import normalize
from prompts.sentences import ADULT_AGE

_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve"]
_TEENS += [f"{start}teen" for start in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
_TENS = [f"{start}ty" for start in ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")]
_DECADES = {f"{word[:-1]}ies": value for value, word in zip(range(20, 100, 10), _TENS, strict=True)}
_WORTH: Final[dict[str, int]] = {
    **{word: value for value, word in enumerate(_UNITS, 1)},
    **{word: value for value, word in enumerate(_TEENS, 10)},
    **{word: value for value, word in zip(range(20, 100, 10), _TENS, strict=True)},
}
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-]*(?:{'|'.join(_UNITS)}))?|{'|'.join([*_TEENS, *_UNITS])})"
NUMBER: Final = (
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,20}(?:[.,]\d{1,20})?|[.,]\d{1,20}|"
    rf"(?:(?:{'|'.join(_UNITS)}|a)[\s-]+)?hundred(?:[\s-]+(?:and[\s-]+)?{_SMALL})?|{_SMALL})"
)
"""Pattern of a number in normalised text, in digits or words, without groups."""

_MONTHS = re.compile(rf"\s*(?:and\s+)?{NUMBER}[\s-]*(?:months?|weeks?|days?)(?:\s+old)?")
_DECADE = re.compile(
    rf"(?P<part>early|mid|late)?[\s-]*(?:(?P<digits>[2-9]0)\W?s|(?P<word>{'|'.join(_DECADES)}))\b"
)
_BELOW = re.compile(rf"\b(?:almost|nearly|under|below|not yet|not quite)\s+({NUMBER})(?![a-z])")
_NUMBER = re.compile(rf"(?<![a-z\d])({NUMBER})(?=y|[\W_]|$)(?:\s+and\s+a\s+half)?")
_TEEN = re.compile(r"\b(?:early|mid|late)?[\s-]*(?:teens?|teenaged?|teenagers?)\b")
_ROMAN = re.compile(r"(?P<tens>x{1,3}|xl|lx{0,3}|xc)?(?P<ones>ix|iv|v?i{0,3})")
_NOISE = re.compile(
    r"\b(?:years?|yrs?|y\W?o|y|old|young|of|age|aged|is|about|around|approximately|approx|circa|ca|"
    r"roughly|over|between|and|or|to|in|her|his|their|the|just|exactly|turning|something|ish|plus|"
    r"an?|adult|woman|man|i|am)\b|[\W_]"
)


class AgeNotUnderstood(ValueError):
    """A text is not an age in years."""

    def __init__(self, value: int | str) -> None:
        self.value = value
        super().__init__(
            f"must be an age in years, got {str(value)[:100]!r}; write it as a number or in"
            " words, such as 27 or twenty-seven"
        )


def age_in_years(value: int | str) -> int:
    """Return an age in whole years, rounded down. A range gives its minimum, "late teens" gives 17.

    Raises:
        AgeNotUnderstood: if the value is not an age.
    """
    if isinstance(value, int):
        if value < 0:
            raise AgeNotUnderstood(value)
        return value
    roman = _ROMAN.fullmatch(unicodedata.normalize("NFKC", value).strip().lower())
    if roman and roman.group():
        return _roman(roman)
    text = normalize(value).text.strip()
    if re.match(r"-\s*\d", text):
        raise AgeNotUnderstood(value)
    ages, rest = _read(text)
    if not ages or _NOISE.sub("", rest):
        raise AgeNotUnderstood(value)
    return min(ages)


def value_of(number: str) -> float:
    """Return the value of a match of `NUMBER`."""
    if any(sign.isdigit() for sign in number):
        grouped = re.fullmatch(r"\d{1,3}(,\d{3})+", number)
        return float(number.replace(",", "" if grouped else "."))
    before, hundred, after = number.partition("hundred")
    if not hundred:
        return _worth(number)
    return 100 * (_worth(before) or 1) + _worth(after)


def _worth(words: str) -> int:
    spelled = re.findall("|".join(sorted(_WORTH, key=len, reverse=True)), words)
    return sum(_WORTH[word] for word in spelled)


def _read(text: str) -> tuple[list[int], str]:
    """Return the ages in a normalised text, and the rest of the text."""
    if years := re.search(r"years?|yrs?", text):
        text = text[: years.end()] + _MONTHS.sub(" ", text[years.end() :])
    elif _MONTHS.search(text):
        return [0], _MONTHS.sub(" ", text)
    ages: list[int] = []
    for pattern, age in (
        (_DECADE, _decade),
        (_BELOW, lambda match: math.ceil(value_of(match[1])) - 1),
        (_NUMBER, lambda match: int(value_of(match[1]))),
        (_TEEN, lambda match: ADULT_AGE - 1),
    ):
        ages += [age(match) for match in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    return ages, text


def _decade(match: re.Match[str]) -> int:
    start = int(match["digits"]) if match["digits"] else _DECADES[match["word"]]
    return start + {"early": 2, "mid": 5, "late": 8}.get(match["part"], 5)


def _roman(match: re.Match[str]) -> int:
    tens = match["tens"] or ""
    ones = match["ones"]
    special = {"xl": 40, "xc": 90, "iv": 4, "ix": 9}
    high = special.get(tens, 10 * tens.count("x") + 50 * tens.count("l"))
    return high + special.get(ones, ones.count("i") + 5 * ones.count("v"))
