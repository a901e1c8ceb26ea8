"""Parsing of ages in all notations."""

import pytest

from prompts.ages import AgeNotUnderstood, age_in_years


@pytest.mark.parametrize(
    ("written", "years"),
    [
        (17, 17),
        ("17", 17),
        ("seventeen", 17),
        ("Twenty-Seven", 27),
        ("twenty seven", 27),
        ("twentyseven", 27),
        ("27 years old", 27),
        ("27-year-old", 27),
        ("27yo", 27),
        ("27 y.o.", 27),
        ("aged 27", 27),
        ("age: 27", 27),
        ("about 30", 30),
        ("30+", 30),
        ("thirty-something", 30),
        ("１７", 17),
        ("٢٧", 27),
        ("⑰", 17),
        ("17.5", 17),
        ("17½", 17),
        ("17,9 years", 17),
        ("seventeen and a half", 17),
        ("27 years and 3 months", 27),
        ("8 months old", 0),
        ("XVII", 17),
        ("xviii", 18),
        ("XXVII", 27),
        ("one hundred and five", 105),
        ("hundred", 100),
        ("seventy", 70),
        ("late teens", 17),
        ("teenager", 17),
        ("early twenties", 22),
        ("mid-30s", 35),
        ("late 20's", 28),
        ("20s", 25),
        ("25-30", 25),
        ("between 16 and 30", 16),
        ("almost 18", 17),
        ("not yet eighteen", 17),
        ("1998", 1998),
    ],
)
def test_an_age_is_read(written: int | str, years: int) -> None:
    assert age_in_years(written) == years


@pytest.mark.parametrize(
    "written", ["", "adult", "child", "unknown", "-5", -5, "27 foo", "27th", "mid", "😀"]
)
def test_a_text_without_an_age_is_refused(written: int | str) -> None:
    with pytest.raises(AgeNotUnderstood, match="must be an age in years") as raised:
        age_in_years(written)
    assert raised.value.value == written


def test_every_number_is_the_same_in_digits_and_in_words() -> None:
    for age in range(1, 131):
        assert age_in_years(str(age)) == age
        assert age_in_years(_in_words(age)) == age, _in_words(age)


def _in_words(number: int) -> str:
    ones = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    teens = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"]
    teens += ["eighteen", "nineteen"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if number >= 100:
        return f"one hundred and {_in_words(number - 100)}".removesuffix(" and ")
    if 10 <= number < 20:
        return teens[number - 10]
    ten = tens[number // 10 - 2] if number >= 20 else ""
    return "-".join(filter(None, [ten, ones[number % 10]]))
