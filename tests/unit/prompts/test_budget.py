"""Cutting of prompts that are too long, and the estimate of their length."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.budget import Clause, Fitted, Rank, fit, tokens
from prompts.wording import word_count

KEPT, USER, SETTING, QUALITY = Rank.KEPT, Rank.USER, Rank.SETTING, Rank.QUALITY


def _fit(*said: tuple[str, Rank], words: int = 6, pages: int = 1) -> Fitted:
    return fit([Clause(text, rank) for text, rank in said], word_count, words, pages)


def _texts(fitted: Fitted) -> list[str]:
    return [clause.text for clause in fitted.clauses]


def test_fitting_clauses_stay_in_their_order() -> None:
    said = [("sharp", QUALITY), ("a woman", KEPT), ("rain", USER)]
    assert _texts(_fit(*said)) == ["sharp", "a woman", "rain"]


def test_quality_terms_are_cut_before_the_location_and_the_location_before_the_users_text() -> None:
    said = [("a woman", KEPT), ("soft light", SETTING), ("rain and wind", USER), ("sharp focus", QUALITY)]
    assert _texts(_fit(*said, words=7)) == ["a woman", "soft light", "rain and wind"]
    assert _texts(_fit(*said, words=6)) == ["a woman", "rain and wind"]
    assert _fit(*said, words=6).cut == ("soft light", "sharp focus")


def test_the_person_is_never_cut() -> None:
    fitted = _fit(("a woman with red hair and green eyes", KEPT), ("rain", USER), words=3)
    assert _texts(fitted) == ["a woman with red hair and green eyes"]


def test_a_rank_ends_at_its_first_clause_that_does_not_fit() -> None:
    said = [("rain", USER), ("one two three four five six", USER), ("wind", USER)]
    assert _texts(_fit(*said)) == ["rain"]


def test_a_long_clause_of_the_user_is_cut_after_a_word() -> None:
    assert _texts(_fit(("one two three four five six seven eight", USER))) == ["one two three four five"]
    assert _texts(_fit(("浜" * 50, USER))) == ["浜" * 5]


def test_the_users_text_may_start_another_page_and_quality_terms_may_not() -> None:
    said = [("one two three four", KEPT), ("five six seven", USER), ("eight nine", QUALITY)]
    assert _texts(_fit(*said, pages=2)) == ["one two three four", "five six seven", "eight nine"]
    alone = [("one two three four", KEPT), ("five six seven", QUALITY)]
    assert _texts(_fit(*alone, pages=2)) == ["one two three four"]


def test_a_duplicate_clause_is_removed_and_keeps_the_highest_importance() -> None:
    said = [("a woman", KEPT), ("Photograph", QUALITY), ("photograph", KEPT), ("one two three", USER)]
    assert _texts(_fit(*said)) == ["a woman", "Photograph", "one two three"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a red hat", 3),
        ("long hair, green eyes", 5),
        ("27 years old", 4),
        ("photorealistic photograph", 5),
        ("mia_tok", 3),
        ("café", 3),
        ("浜", 3),
    ],
)
def test_tokens_are_estimated_rather_high(text: str, count: int) -> None:
    assert tokens(text) == count


_clauses = st.lists(
    st.builds(Clause, st.text("abc é浜,", min_size=1, max_size=40), st.sampled_from(Rank)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(_clauses, st.integers(1, 30), st.integers(1, 3), st.sampled_from([word_count, tokens]))
def test_only_clauses_that_are_never_cut_may_exceed_the_budget(
    clauses: list[Clause], page: int, pages: int, size: type[int]
) -> None:
    fitted = fit(clauses, size, page, pages)
    needed = sum(size(f"{clause.text},") for clause in fitted.clauses if clause.rank is KEPT)
    assert size(", ".join(clause.text for clause in fitted.clauses)) <= max(needed, page * pages)
    kept = {clause.text for clause in clauses if clause.rank is KEPT}
    assert kept <= {clause.text for clause in fitted.clauses}
    assert fitted == fit(clauses, size, page, pages)
