"""Detection of persons below 18 in free text, and its false positives."""

import time

import pytest

from prompts.adults import find_minor

MINORS = [
    "a 17 year old woman",
    "17-year-old",
    "seventeen years old",
    "sixteen-year-old girl",
    "age: 16",
    "aged 16",
    "age 15",
    "aged sixteen",
    "17yo",
    "17 y.o.",
    "17 y/o",
    "16yrs old",
    "a girl, 17 years",
    "a teen model",
    "teenager",
    "t33n",
    "t e e n",
    "тeen",
    "te\u200ben",
    "TÉEN",
    "preteen",
    "pre-teen",
    "underage",
    "under-age",
    "a minor, smiling",
    "she is a minor",
    "minors",
    "child",
    "two children",
    "kid",
    "k1d",
    "toddler",
    "infant",
    "schoolgirl",
    "school-girl",
    "school girl",
    "schoolboy",
    "loli",
    "l0li",
    "l.o.l.i",
    "little girl",
    "a little blonde girl",
    "young boy",
    "young asian girl",
    "１７ years old",
    "17½ years old",
    "a 5 year old",
    "5 year old car thief",
    "8 months old",
    "she is 16",
    "she's 15 and blonde",
    "girl, 16, blonde",
    "girl (17)",
    "girl of 15",
    "16 years girl",
    "under 18",
    "younger than 18",
    "not yet eighteen",
    "just turned sixteen",
    "turned 17",
    "high school student",
    "high-school girl",
    "in her teens",
    "late teens",
    "ten years old",
    "17 años",
    "17 Jahre alt",
    "17歳",
    "少女",
    "девочка",
    "ребёнок",
    "loooooli",
    "kids playing",
    "16 year old and a car",
    "baby",
    "newborn",
    "17 yr old",
    "seventeen and a half years old",
    "17.9 years old",
    "a 12-years-old",
    "schoolgirl uniform",
    "sixteen yo",
    "of 17 years of age",
    "almost 18",
    "aged about 14",
    "teenage-looking",
    "barely legal",
    "Minor girl",
    "14 year-old",
    "he is only 12, smiling",
    "the age of 16",
    "ages 12 to 15",
    "seventeen\xa0years\u2011old",
    "17_years_old",
]

HARMLESS = [
    "30 years old",
    "18-year-old",
    "an 18 year old woman",
    "twenty-seven years old",
    "twenty-seven-year-old woman",
    "one hundred and five years old",
    "105 years old",
    "1,017 years old",
    "a 5 year old car",
    "a 12-year-old whisky in hand",
    "minor scratches",
    "a minor scratch on the door",
    "sonata in A minor",
    "kid gloves",
    "baby blue dress",
    "her inner child",
    "cowboy",
    "girlfriend",
    "woman at the beach",
    "two women, 3 men",
    "she is 6 feet tall",
    "she's 5'10",
    "for 10 years",
    "worked as a chef for 10 years.",
    "10 years of experience",
    "85mm lens, f/1.4",
    "16:9",
    "nineteen",
    "nineteen years old",
    "aged 30",
    "age 27",
    "age: 45",
    "turned 30",
    "under 18 degrees",
    "455 people",
    "stage 3",
    "25 yo",
    "kidding around",
    "childhood memories",
    "young woman",
    "young adult",
    "little black dress",
    "little red car",
    "19",
    "age 18",
    "25 years",
    "she is one of a kind",
    "a page 12",
    "image of 5 apples",
    "tweed jacket",
    "velveteen",
    "canteen",
    "damage is minor",
    "over 10 years.",
    "in 5 years",
    "40-year-old",
    "woman of 35, smiling",
    "thirty two years old",
]


def test_persons_below_18_are_found() -> None:
    assert [text for text in MINORS if not find_minor(text)] == []
    inside = [f"portrait of someone, {text}, by the sea" for text in MINORS]
    assert [text for text in inside if not find_minor(text)] == []


def test_other_words_are_accepted() -> None:
    found = {text: find_minor(text) for text in HARMLESS}
    assert {text: minor for text, minor in found.items() if minor} == {}


def test_every_age_below_18_is_found() -> None:
    for age in range(1, 18):
        assert find_minor(f"a {age}-year-old in a garden") == f"{age}-year-old"
        assert find_minor(f"a woman aged {age}"), age


def test_no_adult_age_is_found() -> None:
    for age in range(18, 100):
        assert find_minor(f"a {age}-year-old woman aged {age}, she is {age}") is None, age


def test_a_match_is_reported_as_it_is_in_the_text() -> None:
    assert find_minor("a Te\u200bEn on a bike") == "Te\u200bEn"
    assert find_minor("one Sixteen Year Old, two kids") == "Sixteen Year Old"


@pytest.mark.parametrize(
    "text", ["1" * 4000, "a" * 4000, "16 " * 1300, "years " * 600, "1,111," * 600, " " * 4000]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    find_minor(text)
    assert time.process_time() - start < 2
