"""Key words with one wrong letter are found, and real words are left as they are."""

from collections.abc import Iterator
from string import ascii_lowercase

import pytest

from prompts.adults import find_minor


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("sixteen years old", "sixteen"),
        ("16 years old", "years"),
        ("portrait, thirteen years", "thirteen"),
        ("little girl", "little"),
        ("schoolgirl on a swing", "schoolgirl"),
        ("two teenagers", "teenagers"),
        ("sechzehn Jahre alt", "sechzehn"),
    ],
)
def test_a_key_word_with_one_wrong_letter_is_found(sentence: str, word: str) -> None:
    missed = {slip for slip in _slips(word) if find_minor(sentence.replace(word, slip)) is None}
    assert len(missed) <= 1, missed  # a slip may be another word, such as a number above 17


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a portrait, sixten years old, outside", "sixten years old"),
        ("one g1rl of 12 in a park", "g1rl of 12"),
        ("a lttle girl", "lttle girl"),
        ("the U16 girl", "U16"),
        ("only <18", "<18"),
    ],
)
def test_a_corrected_mention_is_reported_as_it_was_written(text: str, found: str) -> None:
    reported = str(find_minor(text))
    assert reported in text
    assert reported[-2:] == found[-2:]


@pytest.mark.parametrize(
    "text",
    [
        *("chili peppers", "chill evening", "a gaming chair", "manor house", "flicker of candles"),
        *("twelve yards of silk", "seven tears", "111 girls", "a girl <3 coffee", "U2 concert, woman"),
        *("sixty years old", "seventy years old", "twenty years old", "der meiste Regen", "treinta años"),
    ],
)
def test_a_real_word_is_no_misspelling(text: str) -> None:
    assert find_minor(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("kids drawing on the floor", "mother of two children with a kid on her arm", "a kid free of fear"),
        *("a child with a sign", "teen holding a poster", "mother and her two children", "a baby-faced girl"),
        *("a schoolgirl with a crush", "girls in school uniforms", "sweet sixteen girl", "a Boy Scout"),
        *("Niño con perro", "an infant beside a painting", "little Julia, child of six"),
    ],
)
def test_a_harmless_phrase_hides_no_child_beside_it(text: str) -> None:
    assert find_minor(text) is not None


@pytest.mark.parametrize(
    "text", ["woman at sunset, 16:9", "a woman in a garden, 9", "woman, gate 12", "two women, 12 roses"]
)
def test_a_bare_number_that_belongs_to_something_else_is_no_age(text: str) -> None:
    assert find_minor(text) is None


def _slips(word: str) -> Iterator[str]:
    """The word with one letter behind the first missing, doubled, swapped, wrong or added."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]
        yield word[:at] + word[at] + word[at:]
        if at + 1 < len(word):
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        for letter in ascii_lowercase:
            yield word[:at] + letter + word[at + 1 :]
            yield word[:at] + letter + word[at:]
