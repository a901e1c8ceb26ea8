"""Intervals: exponential backoff with jitter, and polls that become rarer."""

import pytest

from services.gateways.kit.provider import NotAccepted
from services.gateways.runtime.lifecycle.decisions import Wait
from services.gateways.runtime.lifecycle.intervals import after, backoff, jittered, next_interval
from tests.unit.gateways.lifecycle.driver import an_attempt, decide


@pytest.mark.parametrize(("tries", "latest"), [(0, 0.5), (1, 1.0), (3, 4.0), (5, 16.0), (6, 30.0), (9, 30.0)])
def test_the_backoff_doubles_up_to_30_seconds(tries: int, latest: float) -> None:
    assert backoff(tries, at_least=0.0, at_most=100.0) == Wait(0.0, latest)


@pytest.mark.parametrize(
    ("at_least", "at_most", "expected"),
    [(5.0, 100.0, Wait(5.0, 6.0)), (5.0, 5.5, Wait(5.0, 5.5)), (5.0, 2.0, Wait(2.0, 2.0))],
)
def test_the_backoff_keeps_within_its_limits(at_least: float, at_most: float, expected: Wait) -> None:
    assert backoff(1, at_least=at_least, at_most=at_most) == expected


@pytest.mark.parametrize(
    ("interval", "expected"), [(0.0, 0.3), (0.1, 0.3), (0.2, 0.3), (1.0, 1.5), (2.0, 2.5), (9.0, 2.5)]
)
def test_the_next_poll_interval_is_half_as_long_again(interval: float, expected: float) -> None:
    assert next_interval(interval, first=0.2, longest=2.5) == pytest.approx(expected)


def test_a_wait_is_exact_or_spread_by_a_fifth() -> None:
    assert after(2.0) == Wait(2.0, 2.0)
    assert jittered(10.0) == Wait(8.0, 12.0)


@pytest.mark.parametrize(("pause", "expected"), [(None, Wait(0.0, 1.0)), (7.0, Wait(7.0, 8.0))])
def test_a_refused_submission_is_repeated_after_the_pause_that_the_provider_names(
    pause: float | None, expected: Wait
) -> None:
    refusal = NotAccepted("provider_busy", "429", after_seconds=pause)
    assert decide(an_attempt("submitting"), refusal).actions[-1] == expected
