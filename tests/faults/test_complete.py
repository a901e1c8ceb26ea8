"""The matrix covers every fault of the simulators, and its page agrees with it."""

from pathlib import Path

from tests.faults.matrix import IMPOSSIBLE, MATRIX, missing
from tests.faults.table import tables

PAGE = (Path(__file__).parents[2] / "docs" / "fault-matrix.md").read_text()


def test_every_fault_that_can_happen_at_a_provider_has_a_row() -> None:
    assert missing() == []
    assert len({row.id for row in MATRIX}) == len(MATRIX), "a row is named once"


def test_the_page_says_why_others_cannot_happen() -> None:
    for _, _, why in IMPOSSIBLE:
        assert why in PAGE


def test_the_page_has_the_table_as_it_is_printed() -> None:
    printed = "\n".join(tables([*row.cells, "ok"] for row in MATRIX))
    assert printed in PAGE, "copy what `make test-faults` prints into docs/fault-matrix.md"
