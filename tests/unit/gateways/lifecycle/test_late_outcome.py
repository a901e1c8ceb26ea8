"""Decisions about an outcome that the provider reports after the attempt has ended."""

from datetime import timedelta
from typing import Any

import pytest

from services.gateways.kit.provider import Completed, Failed, InProgress, NotFound, StatusUnavailable
from services.gateways.runtime.lifecycle.late_outcome import (
    MAX_CHECKS,
    CheckAgain,
    Forget,
    RecordOutcome,
    StopOrphan,
    late_outcome,
    next_check,
)
from tests.fakes.provider import OUTPUT
from tests.unit.gateways.lifecycle.driver import ABSENT, REF, START, UNSUPPORTED, an_attempt

PAID = Completed((OUTPUT,), cost_usd=0.03)
FREE = Failed("provider_error", "500", True, "no")
STOPPED = Failed("cancelled", "stopped", False, "yes", cost_usd=0.01)
UNCERTAIN = Failed("lost", "nowhere", True)


@pytest.mark.parametrize(
    ("state", "observation", "expected"),
    [
        ("failed", PAID, RecordOutcome("succeeded", "yes", 0.03)),
        ("cancelled", PAID, RecordOutcome("succeeded", "yes", 0.03)),
        ("succeeded", PAID, Forget()),
        ("failed", FREE, RecordOutcome("failed", "no")),
        ("cancelled", FREE, RecordOutcome("cancelled", "no")),
        ("failed", STOPPED, RecordOutcome("cancelled", "yes", 0.01)),
        ("succeeded", STOPPED, Forget()),
        ("failed", UNCERTAIN, Forget()),
        ("failed", InProgress("running"), StopOrphan()),
        ("succeeded", InProgress("queued"), StopOrphan()),
        ("failed", NotFound("unknown id"), CheckAgain()),
        ("failed", StatusUnavailable("502"), CheckAgain()),
        ("failed", UNSUPPORTED, Forget()),
    ],
)
def test_a_late_report_is_recorded_once_or_checked_again(state: Any, observation: Any, expected: Any) -> None:
    assert late_outcome(an_attempt(state, ref=REF), observation, 0) == expected


@pytest.mark.parametrize(
    ("state", "earlier", "expected"),
    [
        ("failed", 0, CheckAgain(not_found=True)),
        ("failed", 2, CheckAgain(not_found=True)),
        ("failed", 3, RecordOutcome("failed", "no")),
        ("cancelled", 3, RecordOutcome("cancelled", "no")),
    ],
)
def test_a_submission_was_never_accepted_after_four_lookups(state: Any, earlier: int, expected: Any) -> None:
    assert late_outcome(an_attempt(state), ABSENT, earlier) == expected


@pytest.mark.parametrize(
    ("checks", "seconds"), [(0, 10), (1, 20), (MAX_CHECKS - 1, 2560), (MAX_CHECKS, None)]
)
def test_checks_become_rarer_and_end(checks: int, seconds: int | None) -> None:
    expected = None if seconds is None else START + timedelta(seconds=seconds)
    assert next_check(checks, START) == expected
