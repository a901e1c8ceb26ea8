"""Detection and removal of explicit words, plain and disguised."""

import time

import pytest

from prompts.catalogue import default_catalogue
from prompts.explicit import find_explicit, remove_words

EXPLICIT = default_catalogue().nsfw.explicit


@pytest.mark.parametrize(
    "disguised",
    [
        "nude",
        "NuDe",
        "n u d e",
        "n.u.d.e",
        "n_u_d_e",
        "n-u-d-e",
        "nüdé",
        "ｎｕｄｅ",
        "nud\u200be",
        "nu\u00adde",
        "nude\u0301\u0301",
        "nuuuuuuuuude",
        "nud3",
        "n4k3d",
        "рussy",
        "p0rn",
        "pornographic",
        "$ex",
        "without any\nclothes",
        "nu nude de",
    ],
)
def test_an_explicit_word_is_removed_in_any_disguise(disguised: str) -> None:
    assert find_explicit(disguised, EXPLICIT)
    left = remove_words(f"a {disguised} statue", EXPLICIT).text
    assert find_explicit(left, EXPLICIT) is None
    assert left.split() in (["a", "statue"], ["a", "nu", "de", "statue"])


@pytest.mark.parametrize(
    "harmless",
    [
        "Essex and Sussex",
        "a cocktail in a glass",
        "455 people",
        "the A55 road",
        "assassin with class",
        "bass guitar",
        "analysis",
        "Dickens",
        "grapes",
        "a sexy dress",
        "lingerie",
        "see through the window",
        "documents",
        "as sleek as 5 swans",
    ],
)
def test_a_harmless_word_stays(harmless: str) -> None:
    assert remove_words(harmless, EXPLICIT).text == harmless


def test_removed_words_are_listed_without_their_disguise() -> None:
    assert remove_words("n.u.d.e and Topless, without clothes", EXPLICIT).words == (
        "nude",
        "topless",
        "without clothes",
    )


@pytest.mark.parametrize(
    "text", ["a" * 4000, "1" * 4000, "n u d e " * 500, "s" * 4000, "nu " * 600 + "nude " * 400]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    remove_words(text, EXPLICIT)
    assert time.process_time() - start < 2


def test_a_text_with_words_nested_too_deep_is_removed() -> None:
    text = "n n u " * 30 + "nude" + " d e" * 30
    assert find_explicit(remove_words(text, EXPLICIT).text, EXPLICIT) is None
