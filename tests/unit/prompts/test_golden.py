"""Prompts of typical requests, compared with golden files."""

import pytest

from tests.unit.prompts.golden import CASES, FOLDER, text_of


@pytest.mark.parametrize("case", CASES)
def test_the_prompts_equal_their_golden_file(case: str) -> None:
    expected = (FOLDER / f"{case}.txt").read_text(encoding="utf-8")
    assert text_of(case) == expected, "if it is better now: python -m tests.unit.prompts.golden"


def test_every_golden_file_has_a_case() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(CASES)
