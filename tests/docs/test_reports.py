"""docs/reports.md names a test for every reported input, and every test that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [line.split(" | ") for line in (ROOT / "docs/reports.md").read_text("utf-8").splitlines()]
TABLE = {cells[0].removeprefix("| "): cells for cells in ROWS if re.match(r"\| A?\d+$", cells[0])}


def test_every_row_is_present() -> None:
    assert set(TABLE) == {*map(str, range(1, 51)), "A1", "A2", "A8", "A9"}


@pytest.mark.parametrize("row", TABLE)
def test_the_tests_of_a_row_exist(row: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", TABLE[row][2])
    assert named
    for test in named:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert re.search(rf"def {name}\(", (ROOT / path).read_text("utf-8")) if name else True, test
