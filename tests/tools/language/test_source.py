"""The check of the language rules finds what breaks them, and nothing else."""

import pytest

from tests.language.source import violations


def problems(source: str) -> list[tuple[int, str]]:
    return [(violation.line, violation.problem) for violation in violations(source)]


@pytest.mark.parametrize(
    "opener",
    ["What", "Who", "Whose", "Which", "Those", "So", "Whether", "Nothing", "Nobody", "How far", "How often"],
)
def test_a_docstring_that_begins_with_an_opener_is_refused(opener: str) -> None:
    source = f'def due() -> None:\n    """{opener} is due."""\n'

    assert problems(source) == [(2, f"docstring begins with '{opener}'")]


def test_longer_words_and_later_lines_may_begin_like_an_opener() -> None:
    source = '"""Socket of a broker.\n\nWhat it receives is queued.\n"""\n'

    assert problems(source) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What is due."""\n',
        'class Due:\n    """What is due."""\n',
        'async def due() -> None:\n    """What is due."""\n',
        'DUE = 1\n"""What is due."""\n',
        'class Due:\n    at: int\n    """\n    What is due.\n    """\n',
    ],
)
def test_docstrings_of_modules_classes_functions_and_attributes_are_checked(source: str) -> None:
    assert [problem for _, problem in problems(source)] == ["docstring begins with 'What'"]


def test_a_private_word_is_reported_with_the_term_to_use() -> None:
    source = '"""Expire leases.\n\nThe heir of an owner polls its attempts.\n"""\n'

    assert problems(source) == [(1, "docstring has 'heir'; use: successor")]


def test_private_words_match_whole_words_in_any_case() -> None:
    assert problems('"""Their inheritance."""\n') == []
    assert problems('"""Expire. Heirs poll."""\n') == [(1, "docstring has 'Heirs'; use: successor")]


def test_comments_are_checked_for_private_words() -> None:
    assert problems("x = 1  # each heir polls\n") == [(1, "comment has 'heir'; use: successor")]


def test_the_event_of_a_log_call_is_checked_and_its_values_are_not() -> None:
    source = 'log.info("heir_polls", state="heir")\nprint("heir")\n'

    assert problems(source) == [(1, "log event has 'heir'; use: successor")]


def test_test_names_are_checked() -> None:
    source = "def test_what_is_due_is_polled() -> None: ...\nasync def test_an_heir_polls() -> None: ...\n"

    assert problems(source) == [
        (1, "test name begins with 'what'"),
        (2, "test name has 'heir'; use: successor"),
    ]


@pytest.mark.parametrize("subject", ["nothing", "nobody"])
def test_a_test_name_may_have_a_negative_subject(subject: str) -> None:
    assert problems(f"def test_{subject}_is_published_twice() -> None: ...\n") == []


def test_names_of_other_functions_are_free() -> None:
    assert problems("def what_is_due() -> None: ...\n") == []


def test_strings_that_are_values_are_free() -> None:
    assert problems('WORDS = ["heir", "What is due."]\n') == []
