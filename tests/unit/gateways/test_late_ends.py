"""An end that we wrote before the provider told it: asked for later, entered once, said once."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.runtime import late_ends
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.late_ends import FIRST_SECONDS, MOST_LOOKS, SURE_LOOKS, LateEnds, next_look
from services.gateways.runtime.provider import (
    Broken,
    CannotBeAsked,
    Done,
    Missing,
    NoAnswer,
    OutcomeUnknown,
)
from shared.clock import now
from shared.mongo import Collection, Document, find_by_id
from shared.outbox import OVERDUE
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import OUTPUT, RUNNING

PAID = Done((OUTPUT,), cost_usd=0.03)
FREE = Broken("provider_error", "500", retryable=True, billed="no")
STOPPED = Broken("cancelled", "stopped", retryable=False, billed="yes")
NOBODY_KNOWS = Broken("lost", "nowhere", retryable=True)


@pytest.fixture
def late(bench: GatewayBench) -> LateEnds:
    return LateEnds(bench.attempts.mongo, bench.provider, "gateway-fal")


async def given_up(bench: GatewayBench, *, cancel: bool = False) -> Attempt:
    """It was taken, and its provider was silent until long after its deadline; its end is said."""
    attempt = await bench.take_in()
    await bench.step(attempt)
    attempt.cancel = cancel
    bench.age_deadline(attempt, 61)
    bench.provider.news = [NoAnswer("502")]
    assert await bench.step(attempt) is None
    await bench.ledger.remove_published()
    return attempt


async def unanswered(bench: GatewayBench) -> Attempt:
    """It was sent without an answer, and never found."""
    attempt = await bench.take_in()
    bench.provider.submissions = [OutcomeUnknown("lost")]
    await bench.step(attempt)
    bench.age_deadline(attempt, 61)
    assert await bench.step(attempt) is None
    await bench.ledger.remove_published()
    return attempt


async def look(bench: GatewayBench, late: LateEnds, attempt: Attempt) -> None:
    """It is time to ask, and the outbox is published."""
    bench.entry(attempt)["look_at"] = now()
    assert await late.ask_due() == 1
    await bench.outbox.sweep(timedelta(seconds=-1))


async def test_a_late_result_is_paid_and_entered_and_not_delivered(
    bench: GatewayBench, late: LateEnds
) -> None:
    attempt = await given_up(bench)
    bench.provider.news = [PAID]
    await look(bench, late, attempt)
    entry = bench.entry(attempt)
    assert (entry["state"], entry["settled_as"]) == ("failed", "succeeded")
    assert (entry["billed"], entry["cost_usd"]) == ("yes", 0.03)
    assert bench.publisher.said(RenderSucceeded) == []
    [failure] = bench.publisher.said(RenderFailed)
    [settled] = bench.publisher.said(AttemptSettled)
    assert (failure.billed, settled.billed, settled.cost_usd) == ("unknown", "yes", 0.03)
    assert (settled.attempt_id, settled.outcome) == (attempt.id, "succeeded")


@pytest.mark.parametrize(
    ("cancel", "news", "outcome"),
    [
        (False, FREE, "failed"),
        (False, STOPPED, "cancelled"),
        (True, STOPPED, "cancelled"),
        (True, FREE, "cancelled"),
        (True, PAID, "succeeded"),
    ],
)
async def test_what_the_provider_says_late_is_what_became_of_it(
    bench: GatewayBench, late: LateEnds, cancel: bool, news: Any, outcome: str
) -> None:
    attempt = await given_up(bench, cancel=cancel)
    bench.provider.news = [news]
    await look(bench, late, attempt)
    billed = "yes" if isinstance(news, Done) else news.billed
    last = bench.publisher.said(AttemptSettled)[-1]
    assert (last.outcome, last.billed) == (outcome, billed)
    assert (bench.entry(attempt)["settled_as"], bench.entry(attempt)["billed"]) == (outcome, billed)
    assert bench.entry(attempt)["state"] == ("cancelled" if cancel else "failed")


async def test_what_another_process_has_claimed_since_is_left_to_it(
    bench: GatewayBench, late: LateEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = await given_up(bench)
    bench.entry(attempt)["look_at"] = now()
    polls = bench.provider.calls.count("poll")

    async def read_late(collection: Collection, ids: Iterable[str]) -> list[Document]:
        bench.entry(attempt)["look_at"] = now() + timedelta(minutes=1)
        return await find_by_id(collection, ids)

    monkeypatch.setattr(late_ends, "find_by_id", read_late)
    assert await late.ask_due() == 0
    assert bench.provider.calls.count("poll") == polls


async def test_what_was_settled_is_not_asked_for_again(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await given_up(bench)
    await look(bench, late, attempt)
    assert "look_at" not in bench.entry(attempt)
    assert await late.ask_due() == 0
    await bench.outbox.sweep(timedelta(seconds=-1))
    assert len(bench.publisher.said(AttemptSettled)) == 1


async def test_it_is_not_asked_for_before_its_time(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await given_up(bench)
    left = (bench.entry(attempt)["look_at"] - now()).total_seconds()
    assert FIRST_SECONDS - 1 < left <= FIRST_SECONDS
    assert await late.ask_due() == 0


async def test_an_end_that_the_provider_told_is_not_asked_for(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [NOBODY_KNOWS]
    await bench.finish(attempt)
    assert "look_at" not in bench.entry(attempt)


async def test_what_runs_on_is_stopped_and_looked_at_again(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await given_up(bench)
    bench.provider.news = [RUNNING]
    await look(bench, late, attempt)
    assert bench.provider.calls[-2:] == ["poll", "cancel"]
    assert bench.entry(attempt)["orphan"]
    assert bench.publisher.said(AttemptSettled) == []
    bench.provider.news = [STOPPED]
    await look(bench, late, attempt)
    [settled] = bench.publisher.said(AttemptSettled)
    assert (settled.outcome, settled.billed) == ("cancelled", "yes")


async def test_a_provider_that_is_silent_is_asked_less_and_less_often(
    bench: GatewayBench, late: LateEnds
) -> None:
    attempt = await given_up(bench)
    pauses = []
    for _ in range(MOST_LOOKS):
        bench.provider.news = [NoAnswer("502")]
        await look(bench, late, attempt)
        pauses.append(round((bench.entry(attempt)["look_at"] - now()).total_seconds()))
    assert pauses == [10 * 2**looks for looks in range(MOST_LOOKS)]
    bench.provider.news = [NoAnswer("502")]
    await look(bench, late, attempt)
    assert bench.entry(attempt)["look_at"] is None, "and in the end no more"
    assert await late.ask_due() == 0
    assert bench.entry(attempt)["billed"] == "unknown"


def test_looks_end() -> None:
    assert next_look(MOST_LOOKS - 1, now()) is not None
    assert next_look(MOST_LOOKS, now()) is None


async def test_what_no_one_will_ever_know_stays_unknown_without_a_word(
    bench: GatewayBench, late: LateEnds
) -> None:
    attempt = await given_up(bench)
    bench.provider.news = [NOBODY_KNOWS]
    await look(bench, late, attempt)
    entry = bench.entry(attempt)
    assert (entry["billed"], "look_at" in entry, "settled_as" in entry) == ("unknown", False, False)
    assert bench.publisher.said(AttemptSettled) == []


async def test_a_submission_without_an_answer_is_found_and_its_bill_entered(
    bench: GatewayBench, late: LateEnds
) -> None:
    attempt = await unanswered(bench)
    bench.provider.findings = [{"id": "found"}]
    await look(bench, late, attempt)
    entry = bench.entry(attempt)
    assert (entry["external_id"], entry["billed"], entry["settled_as"]) == ("found", "yes", "succeeded")


async def test_a_submission_that_never_came_there_was_not_billed(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await unanswered(bench)
    bench.provider.findings = [*([NoAnswer("503")] * SURE_LOOKS), None]
    for _ in range(SURE_LOOKS):
        await look(bench, late, attempt)
    for _ in range(SURE_LOOKS - 1):
        await look(bench, late, attempt)
    assert bench.publisher.said(AttemptSettled) == [], "it may just have forgotten"
    await look(bench, late, attempt)
    [settled] = bench.publisher.said(AttemptSettled)
    assert (settled.outcome, settled.billed) == ("failed", "no")


async def test_where_no_one_can_be_asked_nothing_is_asked_twice(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await unanswered(bench)
    bench.provider.findings = [CannotBeAsked("fal")]
    await look(bench, late, attempt)
    assert "look_at" not in bench.entry(attempt)
    assert bench.publisher.said(AttemptSettled) == []


async def test_of_several_processes_one_asks(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await given_up(bench)
    bench.entry(attempt)["look_at"] = now()
    document = dict(bench.entry(attempt))
    other = LateEnds(bench.attempts.mongo, bench.provider, "gateway-fal")
    polls = bench.provider.calls.count("poll")
    await late._ask(document)
    await other._ask(document)
    assert bench.provider.calls.count("poll") == polls + 1


async def test_an_end_that_is_still_unsaid_is_said_first(bench: GatewayBench, late: LateEnds) -> None:
    attempt = await given_up(bench)
    debt = {"at": now(), "messages": []}
    bench.entry(attempt).update(outbox=debt, look_at=now())
    assert await late.ask_due() == 1
    assert (bench.entry(attempt)["outbox"], bench.entry(attempt)["billed"]) == (debt, "unknown")
    assert bench.entry(attempt)["look_at"] > now(), "it is asked for again"


async def test_clearing_what_was_said_leaves_a_later_debt(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [STOPPED]
    await bench.finish(attempt)
    later = {"at": bench.entry(attempt)["outbox"]["at"] + timedelta(seconds=1), "messages": []}
    bench.entry(attempt)["outbox"] = later  # another process has cleared the first and made this one
    await bench.ledger.remove_published()
    assert bench.entry(attempt)["outbox"] == later


async def test_an_old_debt_may_be_another_by_now_and_is_left_to_sweepers(bench: GatewayBench) -> None:
    old, young = await bench.take_in(), await bench.take_in()
    bench.provider.news = [STOPPED, STOPPED]
    for attempt in (old, young):
        await bench.finish(attempt)
    bench.entry(old)["outbox"]["at"] = long_ago = now() - OVERDUE
    bench.ledger._said[0] = (old.id, long_ago)
    await bench.ledger.remove_published()
    assert ("outbox" in bench.entry(old), "outbox" in bench.entry(young)) == (True, False)


async def test_an_answer_that_cannot_be_handled_holds_up_nothing(bench: GatewayBench, late: LateEnds) -> None:
    odd, other = await given_up(bench), await given_up(bench)
    for attempt in (odd, other):
        bench.entry(attempt)["look_at"] = now()
    bench.provider.news = [RuntimeError("a bug of ours"), PAID]
    assert await late.ask_due() == 2
    assert sorted(bench.entry(attempt)["billed"] for attempt in (odd, other)) == ["unknown", "yes"]


@pytest.mark.parametrize("news", [PAID, STOPPED, NOBODY_KNOWS, Broken("lost", "", True, "no")])
async def test_an_image_that_was_delivered_stays_paid_whatever_is_heard_of_it_later(
    bench: GatewayBench, late: LateEnds, news: Any
) -> None:
    """Its copy ran on, and was stopped."""
    attempt = await bench.take_in()
    bench.provider.news = [PAID, RUNNING, news]
    await bench.finish(attempt)
    await bench.ledger.remove_published()
    for _ in range(2):
        await look(bench, late, attempt)
    entry = bench.entry(attempt)
    assert (entry["billed"], entry["cost_usd"], entry["orphan"]) == ("yes", 0.03, True)
    assert bench.publisher.said(AttemptSettled) == []


async def test_what_is_missing_is_asked_for_until_it_shows_itself(
    bench: GatewayBench, late: LateEnds
) -> None:
    attempt = await given_up(bench)
    bench.provider.news = [Missing("404"), PAID]
    await look(bench, late, attempt)
    assert bench.entry(attempt)["billed"] == "unknown"
    await look(bench, late, attempt)
    assert (bench.entry(attempt)["settled_as"], bench.entry(attempt)["billed"]) == ("succeeded", "yes")
