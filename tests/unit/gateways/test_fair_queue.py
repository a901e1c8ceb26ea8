"""The most urgent attempts come first, and no tenant waits for another tenant's thousand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.scheduling.fair_queue import FairQueue
from tests.fakes.provider import a_command


def waiting(tenant: str = "acme", priority: int = 5) -> Attempt:
    return Attempt(a_command(tenant=tenant, priority=priority), trace=None)


def line_of(*attempts: Attempt) -> FairQueue:
    line = FairQueue()
    for attempt in attempts:
        line.push(attempt)
    return line


def all_of(line: FairQueue) -> list[Attempt]:
    return [line.pop() for _ in range(len(line))]


def test_one_tenants_attempts_go_in_their_order() -> None:
    attempts = [waiting() for _ in range(5)]
    assert all_of(line_of(*attempts)) == attempts


def test_the_most_urgent_goes_first_whosever_it_is() -> None:
    late, soon, now_ = waiting("a", 9), waiting("a", 5), waiting("b", 0)
    assert all_of(line_of(late, soon, now_)) == [now_, soon, late]


def test_a_thousand_of_one_tenant_delay_another_by_one_turn_at_most() -> None:
    line = line_of(*(waiting("crowd") for _ in range(1000)))
    for _ in range(10):
        line.pop()
    single = waiting("single")
    line.push(single)
    assert single in (line.pop(), line.pop())
    assert len(line) == 989


def test_an_urgent_one_of_the_crowd_does_not_cost_it_its_turn() -> None:
    line = line_of(*(waiting("crowd") for _ in range(3)), waiting("single"), waiting("crowd", 0))
    assert [attempt.command.tenant for attempt in all_of(line)] == [
        "crowd",
        "crowd",
        "single",
        "crowd",
        "crowd",
    ]


def test_a_tenant_that_returns_goes_to_the_end_of_the_turns() -> None:
    line = line_of(waiting("a"), waiting("b"), waiting("b"))
    assert line.pop().command.tenant == "a"
    line.push(waiting("a"))
    assert [attempt.command.tenant for attempt in all_of(line)] == ["b", "a", "b"]


def test_an_empty_queue_has_no_next_attempt() -> None:
    line = line_of(waiting())
    line.pop()
    with pytest.raises(IndexError):
        line.pop()
    assert len(line) == 0


def test_a_cleared_queue_starts_empty() -> None:
    line = line_of(*(waiting("a") for _ in range(3)))
    line.clear()
    assert len(line) == 0
    again = waiting("a")
    line.push(again)
    assert all_of(line) == [again]


PUSHES = st.tuples(st.sampled_from("aaab"), st.sampled_from([0, 5, 5, 5]))
MOVES = st.builds(
    list.__add__,
    st.lists(PUSHES, min_size=5, max_size=30),
    st.lists(st.one_of(st.none(), st.none(), PUSHES), max_size=40),
)


@given(MOVES)
def test_everyone_gets_out_once_in_turn_and_the_urgent_before_the_rest(
    moves: list[tuple[str, int] | None],
) -> None:
    line, inside = FairQueue(), list[Attempt]()
    passed: dict[str, int] = {}
    for move in moves:
        if move is not None:
            attempt = waiting(*move)
            line.push(attempt)
            inside.append(attempt)
            continue
        if not inside:
            continue
        popped = line.pop()
        inside.remove(popped)
        command = popped.command
        assert command.priority == min(command.priority, *(each.command.priority for each in inside), 9)
        equal = [each for each in inside if each.command.priority == command.priority]
        assert popped.id not in {each.id for each in inside}
        tenants = {each.command.tenant for each in equal} - {command.tenant}
        for tenant in tenants:
            key = f"{command.priority}/{tenant}"
            passed[key] = passed.get(key, 0) + 1
            assert passed[key] <= 3, "at most one turn of each other tenant"
        passed.pop(f"{command.priority}/{command.tenant}", None)
    assert len(line) == len(inside)
    assert sorted(each.id for each in all_of(line)) == sorted(each.id for each in inside)
