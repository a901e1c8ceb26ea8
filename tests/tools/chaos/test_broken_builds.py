"""What the checker has to say of each build, and that slowness alone is not taken for a fault."""

import pytest

from tests.chaos import broken_builds
from tests.chaos.broken import FAULTS
from tests.chaos.broken_builds import EXPECTED, NO_FAULT, as_expected
from tests.chaos.faults import Kind

BY_SLOWNESS: set[Kind] = {"unfinished", "stuck", "wrong_end", "stalled_chain", "run", "memory", "bad_answer"}
CONTROLS = (NO_FAULT, "two_at_once")


def test_every_build_that_there_is_can_be_named() -> None:
    assert set(EXPECTED) == {NO_FAULT, *FAULTS}


def test_a_control_must_be_free_of_faults() -> None:
    for control in CONTROLS:
        assert as_expected(control, set())
        assert not as_expected(control, {"run"})


def test_no_fault_is_believed_found_because_of_what_slowness_yields() -> None:
    for fault, kinds in EXPECTED.items():
        assert not kinds & BY_SLOWNESS
        assert fault in CONTROLS or not as_expected(fault, BY_SLOWNESS)


def test_a_name_that_there_is_not_is_told_at_once() -> None:
    with pytest.raises(SystemExit):
        broken_builds.main(["no_such_fault"])
