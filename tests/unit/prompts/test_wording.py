"""Cleaning, joining and cutting of clauses."""

import pytest

from prompts.wording import clauses_of, clean, join, shorten, word_count


def test_commas_in_brackets_do_not_separate_clauses() -> None:
    assert clauses_of("(rain, storm:1.2), night") == ["(rain, storm:1.2)", "night"]


def test_spaces_and_line_ends_are_normalised() -> None:
    assert clean("  a  red\thouse\n\nby the sea ;; ") == "a red house, by the sea"


def test_clauses_that_differ_only_in_case_or_accents_are_duplicates() -> None:
    assert join(["Café", "cafe, night", "NIGHT"]) == "Café, night"


@pytest.mark.parametrize(
    ("words", "kept"),
    [(9, "one two, three four five, six"), (5, "one two, three four five"), (4, "one two"), (1, "one")],
)
def test_a_text_is_cut_after_a_clause_if_one_fits(words: int, kept: str) -> None:
    assert shorten("one two, three four five, six", words) == kept


def test_words_without_spaces_are_counted_and_cut_too() -> None:
    assert word_count("砂浜の夕日") == 5
    assert word_count("x" * 4000) > 300
    assert word_count(shorten("x" * 4000, 20)) <= 20
    assert word_count(shorten("浜" * 4000, 20)) <= 20
