"""The circuit breaker: consecutive failures open it; one probe at a time closes it or opens it longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateways.runtime.scheduling.breaker import Breaker


def an_open(at: float = 0.0) -> Breaker:
    breaker = Breaker(failures_to_open=3, pause=5.0, longest=60.0, probe=30.0)
    for _ in range(3):
        breaker.failed(at, "503")
    assert breaker.state == "open"
    return breaker


def probe(breaker: Breaker, at: float) -> None:
    assert breaker.wait(at) == 0.0
    breaker.begin(at)


def states(breaker: Breaker) -> list[str]:
    """Return the present state; a type checker would assume the earlier one."""
    return [breaker.state]


def test_at_first_everything_may_be_sent() -> None:
    breaker = Breaker()
    assert (breaker.state, breaker.wait(0.0)) == ("closed", 0.0)


def test_only_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures_to_open=3)
    for _ in range(10):
        breaker.failed(0.0, "503")
        breaker.failed(0.0, "503")
        breaker.succeeded()
    assert (breaker.state, breaker.wait(0.0)) == ("closed", 0.0)


def test_an_open_one_lets_nothing_through_until_its_pause_is_over() -> None:
    breaker = an_open(at=100.0)
    assert (breaker.wait(100.0), breaker.wait(104.0), breaker.reason) == (5.0, 1.0, "503")
    assert states(breaker) == ["open"]
    assert breaker.wait(105.0) == 0.0
    assert states(breaker) == ["half_open"]


def test_one_probe_goes_and_the_others_wait_for_it() -> None:
    breaker = an_open()
    probe(breaker, 5.0)
    assert breaker.wait(5.0) > 0
    assert breaker.wait(6.0) > 0


def test_a_probe_that_succeeds_closes_it_for_good() -> None:
    breaker = an_open()
    probe(breaker, 5.0)
    breaker.succeeded()
    assert (breaker.state, breaker.reason, breaker.wait(5.0)) == ("closed", "", 0.0)
    breaker.failed(6.0, "503")
    assert breaker.state == "closed", "it counts from the beginning"


def test_each_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    breaker, time = an_open(), 0.0
    pauses = []
    for _ in range(6):
        pauses.append(breaker.wait(time))
        time += pauses[-1]
        probe(breaker, time)
        breaker.failed(time, "still 503")
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_success_makes_the_next_pause_short_again() -> None:
    breaker = an_open()
    probe(breaker, 5.0)
    breaker.failed(5.0, "503")
    probe(breaker, 15.0)
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(20.0, "503")
    assert breaker.wait(20.0) == 5.0


def test_failures_of_what_was_sent_before_do_not_prolong_the_pause() -> None:
    breaker = an_open()
    breaker.failed(4.0, "503")
    assert breaker.wait(4.0) == 1.0


def test_a_probe_without_an_outcome_is_followed_by_another() -> None:
    breaker = an_open()
    probe(breaker, 5.0)
    assert breaker.wait(34.0) > 0
    assert breaker.wait(35.0) == 0.0


PAUSES = st.sampled_from([0.0, 0.25, 5.0, 20.0, 40.0])  # exact, also as sums
STEPS = st.sampled_from(["wait", "send", *["fail"] * 6, "succeed"])


@given(st.lists(st.tuples(STEPS, PAUSES), min_size=30, max_size=60))
def test_whatever_happens_it_opens_again_within_its_longest_pause(steps: list[tuple[str, float]]) -> None:
    breaker, time = Breaker(failures_to_open=2, pause=5.0, longest=40.0, probe=30.0), 0.0
    for step, pause in steps:
        time += pause
        if step == "succeed":
            breaker.succeeded()
            assert breaker.wait(time) == 0.0
        elif step == "fail":
            breaker.failed(time, "503")
        elif (wait := breaker.wait(time)) == 0.0 and step == "send":
            breaker.begin(time)
        else:
            assert 0 <= wait <= 40.0
    assert breaker.wait(time + 40.0) == 0.0


@pytest.mark.parametrize("failures", [1, 2])
def test_below_the_number_it_stays_closed(failures: int) -> None:
    breaker = Breaker(failures_to_open=3)
    for _ in range(failures):
        breaker.failed(0.0, "503")
    assert breaker.wait(0.0) == 0.0


def test_a_probe_that_was_not_sent_after_all_leaves_its_place_to_the_next() -> None:
    breaker = Breaker(failures_to_open=1, pause=5.0)
    breaker.failed(0.0, "away")
    assert breaker.wait(6.0) == 0.0
    breaker.begin(6.0)
    assert breaker.wait(6.0) > 0.0
    breaker.abandoned()
    assert breaker.wait(6.0) == 0.0
