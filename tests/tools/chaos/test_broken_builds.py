"""Expected reports of the checker for each build; a slow run alone is not a fault."""

import pytest

from tests.chaos import broken_builds
from tests.chaos.broken import FAULTS
from tests.chaos.broken_builds import EXPECTED, NO_FAULT, as_expected
from tests.chaos.faults import Kind

BY_SLOWNESS: set[Kind] = {"unfinished", "stuck", "wrong_end", "stalled_chain", "run", "memory", "bad_answer"}
CONTROLS = (NO_FAULT, "two_at_once")


def test_every_build_can_be_selected_by_name() -> None:
    assert set(EXPECTED) == {NO_FAULT, *FAULTS}


def test_a_control_must_have_no_fault() -> None:
    for control in CONTROLS:
        assert as_expected(control, set())
        assert not as_expected(control, {"run"})


def test_a_kind_that_slowness_causes_does_not_count_as_found() -> None:
    for fault, kinds in EXPECTED.items():
        assert not kinds & BY_SLOWNESS
        assert fault in CONTROLS or not as_expected(fault, BY_SLOWNESS)


def test_an_unknown_name_is_refused_at_once() -> None:
    with pytest.raises(SystemExit):
        broken_builds.main(["no_such_fault"])
