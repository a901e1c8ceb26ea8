"""The plan for due webhooks: a table of situations, and rules about slots."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import pytest

from services.notifier.deliveries import Delivery
from services.notifier.endpoints import Endpoint, new_endpoint
from services.notifier.planning import BEHIND_HEAD, SLOT_WAIT, Busy, Plan, endpoint_of, plan
from tests.fakes.jobs import START

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
SHOP, OTHER = "https://shop.example/hook", "https://other.example/hook"


def a_delivery(job: str, seq: int = 1, url: str = SHOP, due: timedelta = timedelta()) -> Delivery:
    return Delivery(
        id=f"{job}/{seq}",
        job_id=job,
        seq=seq,
        tenant="acme",
        url=url,
        body="{}",
        due_at=START + due,
        created_at=START,
        retry_until=START + HOUR,
    )


def an_endpoint(state: str, backoff_until: timedelta | None = None, url: str = SHOP) -> Endpoint:
    until = None if backoff_until is None else START + backoff_until
    return new_endpoint("acme", url).model_copy(
        update={"state": state, "backoff_until": until, "last_error": "Gone"}
    )


def planned(
    due: Sequence[Delivery],
    heads: Sequence[Delivery] | None = None,
    endpoint: Endpoint | None = None,
    busy: Busy | None = None,
) -> Plan:
    firsts = {each.job_id: each for each in (due if heads is None else heads)}
    endpoints = {endpoint.id: endpoint} if endpoint else {}
    return plan(due, firsts, endpoints, busy or Busy(8), START)


def sent(result: Plan) -> list[str]:
    return [ready.delivery.id for ready in result.send]


def postponed(result: Plan) -> dict[str, timedelta]:
    return {each.id: each.due_at - START for each in result.postpone if each.due_at}


class Case(NamedTuple):
    """A situation and what the plan is to do about it."""

    due: list[Delivery]
    heads: list[Delivery]
    endpoint: Endpoint | None = None
    send: tuple[str, ...] = ()
    postpone: tuple[tuple[str, timedelta], ...] = ()
    give_up: tuple[str, ...] = ()
    busy_jobs: frozenset[str] = frozenset()


FIRST, SECOND_EVENT, OTHERS = a_delivery("a"), a_delivery("a", 2), a_delivery("b", url=OTHER)
LATER_HEAD = a_delivery("a", due=5 * SECOND)

CASES = {
    "a due head is sent": Case([FIRST], [FIRST], send=("a/1",)),
    "a head that is due now or earlier is sent": Case(
        [a_delivery("a", due=-HOUR)], [a_delivery("a", due=-HOUR)], send=("a/1",)
    ),
    "deliveries behind a due head are postponed": Case(
        [FIRST, SECOND_EVENT], [FIRST], send=("a/1",), postpone=(("a/2", BEHIND_HEAD),)
    ),
    "deliveries behind a later head wait for its time": Case(
        [SECOND_EVENT], [LATER_HEAD], postpone=(("a/2", 5 * SECOND + BEHIND_HEAD),)
    ),
    "a head in flight is not sent again": Case([FIRST], [FIRST], busy_jobs=frozenset("a")),
    "a backing-off endpoint postpones its head": Case(
        [FIRST], [FIRST], an_endpoint("backing_off", HOUR), postpone=(("a/1", HOUR),)
    ),
    "a backoff that has just ended lets a probe out": Case(
        [FIRST], [FIRST], an_endpoint("backing_off", timedelta()), send=("a/1",)
    ),
    "a backing-off endpoint gets one probe": Case(
        [FIRST, a_delivery("c")],
        [FIRST, a_delivery("c")],
        an_endpoint("backing_off", -SECOND),
        send=("a/1",),
        postpone=(("c/1", SLOT_WAIT),),
    ),
    "a disabled endpoint's head is given up, and what follows stays due": Case(
        [FIRST, SECOND_EVENT], [FIRST], an_endpoint("disabled"), give_up=("a/1",)
    ),
    "another endpoint is not affected": Case(
        [FIRST, OTHERS],
        [FIRST, OTHERS],
        an_endpoint("backing_off", HOUR),
        send=("b/1",),
        postpone=(("a/1", HOUR),),
    ),
    "a delivery whose head has ended meanwhile is left alone": Case([SECOND_EVENT], []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_due_delivery_is_sent_postponed_or_given_up(case: Case) -> None:
    result = planned(case.due, case.heads, case.endpoint, Busy(8, set(case.busy_jobs)))
    assert sent(result) == list(case.send)
    assert postponed(result) == dict(case.postpone)
    assert [each.id for each in result.give_up] == list(case.give_up)


def test_a_given_up_delivery_names_the_reason() -> None:
    [given_up] = planned([FIRST], endpoint=an_endpoint("disabled")).give_up
    assert (given_up.state, given_up.last_error) == ("gave_up", "endpoint disabled: Gone")
    assert (given_up.due_at, given_up.finished_at) == (None, START)


def test_a_host_gets_a_quarter_of_the_slots_and_as_many_may_wait_as_there_are_slots() -> None:
    crowd = [a_delivery(f"s{n}") for n in range(17)]
    busy = Busy(12)
    result = planned([*crowd, OTHERS], busy=busy)
    starting = [ready for ready in result.send if busy.has_room(ready)]
    assert starting[:4] == result.send[:4], "those with a slot come first"
    assert sent(result)[:4] == ["s0/1", "s1/1", "s2/1", "b/1"]
    assert sent(result)[4:] == [f"s{n}/1" for n in range(3, 15)]
    assert postponed(result) == {"s15/1": SLOT_WAIT, "s16/1": SLOT_WAIT + SLOT_WAIT / 12}


def test_a_later_plan_continues_after_the_slots_that_were_given_out() -> None:
    crowd = [a_delivery(f"s{n}") for n in range(11)]
    first = planned(crowd)
    second = planned(crowd, busy=Busy(8, next_slots=first.next_slots))
    assert postponed(first) == {"s10/1": SLOT_WAIT}
    assert postponed(second) == {"s10/1": SLOT_WAIT + SLOT_WAIT / 8}
    past = planned(crowd, busy=Busy(8, next_slots={"gone.example": START}))
    assert list(past.next_slots) == ["shop.example"], "a slot in the past is forgotten"


def test_heads_stay_due_when_every_slot_is_taken() -> None:
    busy = Busy(2, {"x", "y"})
    assert planned([FIRST], busy=busy) == Plan([], [], [], {})


def test_slots_are_counted_by_job_and_host() -> None:
    busy = Busy(8)
    [ready] = planned([FIRST], busy=busy).send
    busy.start(FIRST)
    assert not busy.has_room(ready), "the job has one in flight"
    [second] = planned([a_delivery("c")], busy=busy).send
    assert busy.has_room(second)
    busy.start(second.delivery)
    [third] = planned([a_delivery("d")], busy=busy).send
    assert not busy.has_room(third), "the host has its share"
    busy.finish(FIRST)
    assert busy.has_room(third)
    busy.finish(second.delivery)
    assert (busy.jobs, dict(busy.hosts)) == (set(), {})


def test_a_plan_does_not_take_slots_itself() -> None:
    busy = Busy(8)
    planned([FIRST], busy=busy)
    assert (busy.jobs, dict(busy.hosts), busy.next_slots) == (set(), {}, {})


def test_endpoints_are_known_by_tenant_and_address() -> None:
    assert endpoint_of(FIRST) == an_endpoint("up").id
