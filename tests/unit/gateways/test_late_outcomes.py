"""Outcomes that the provider reports after the end: checked later, recorded and published once."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.kit.provider import (
    Completed,
    Failed,
    NotFound,
    OutcomeUnknown,
    StatusUnavailable,
)
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.endings import FIRST_CHECK
from services.gateways.runtime.lifecycle.late_outcome import MAX_CHECKS, NOT_FOUND_CHECKS, next_check
from services.gateways.runtime.recovery import late_outcomes
from services.gateways.runtime.recovery.late_outcomes import LateOutcomes
from shared.clock import now
from shared.mongo import Collection, Document, find_by_id
from shared.outbox import OVERDUE
from tests.fakes.ledger import GatewayHarness
from tests.fakes.provider import OUTPUT, RUNNING, FakeProvider

PAID = Completed((OUTPUT,), cost_usd=0.03)
FREE = Failed("provider_error", "500", retryable=True, billed="no")
STOPPED = Failed("cancelled", "stopped", retryable=False, billed="yes")
NOBODY_KNOWS = Failed("lost", "nowhere", retryable=True)


@pytest.fixture
def late(harness: GatewayHarness) -> LateOutcomes:
    return LateOutcomes(harness.attempts.mongo, harness.provider, "gateway-fal")


async def given_up(harness: GatewayHarness, *, cancel: bool = False) -> Attempt:
    """Return an attempt that was given up long after its deadline; its end is published."""
    attempt = await harness.accept()
    await harness.step(attempt)
    attempt.cancel = cancel
    harness.age_deadline(attempt, 61)
    harness.provider.statuses = [StatusUnavailable("502")]
    assert await harness.step(attempt) is None
    await harness.ledger.remove_published()
    return attempt


async def unanswered(harness: GatewayHarness) -> Attempt:
    """Return an attempt that was sent without an answer and never found."""
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("lost")]
    await harness.step(attempt)
    harness.age_deadline(attempt, 61)
    assert await harness.step(attempt) is None
    await harness.ledger.remove_published()
    return attempt


async def look(harness: GatewayHarness, late: LateOutcomes, attempt: Attempt) -> None:
    """Make the check due, and publish the outbox."""
    harness.entry(attempt)["next_check_at"] = now()
    assert await late.check_due() == 1
    await harness.outbox.sweep(timedelta(seconds=-1))


async def test_a_late_result_is_paid_and_entered_and_not_delivered(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    harness.provider.statuses = [PAID]
    await look(harness, late, attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["final_outcome"]) == ("failed", "succeeded")
    assert (entry["billed"], entry["cost_usd"]) == ("yes", 0.03)
    assert harness.publisher.said(RenderSucceeded) == []
    [failure] = harness.publisher.said(RenderFailed)
    [settled] = harness.publisher.said(AttemptSettled)
    assert (failure.billed, settled.billed, settled.cost_usd) == ("unknown", "yes", 0.03)
    assert (settled.attempt_id, settled.outcome) == (attempt.id, "succeeded")


@pytest.mark.parametrize(
    ("cancel", "status", "outcome"),
    [
        (False, FREE, "failed"),
        (False, STOPPED, "cancelled"),
        (True, STOPPED, "cancelled"),
        (True, FREE, "cancelled"),
        (True, PAID, "succeeded"),
    ],
)
async def test_a_late_report_of_the_provider_is_the_final_outcome(
    harness: GatewayHarness, late: LateOutcomes, cancel: bool, status: Any, outcome: str
) -> None:
    attempt = await given_up(harness, cancel=cancel)
    harness.provider.statuses = [status]
    await look(harness, late, attempt)
    billed = "yes" if isinstance(status, Completed) else status.billed
    last = harness.publisher.said(AttemptSettled)[-1]
    assert (last.outcome, last.billed) == (outcome, billed)
    assert (harness.entry(attempt)["final_outcome"], harness.entry(attempt)["billed"]) == (outcome, billed)
    assert harness.entry(attempt)["state"] == ("cancelled" if cancel else "failed")


async def test_a_check_that_another_process_claimed_is_left_to_it(
    harness: GatewayHarness, late: LateOutcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = await given_up(harness)
    harness.entry(attempt)["next_check_at"] = now()
    polls = harness.provider.calls.count("poll")

    async def read_late(collection: Collection, ids: Iterable[str]) -> list[Document]:
        harness.entry(attempt)["next_check_at"] = now() + timedelta(minutes=1)
        return await find_by_id(collection, ids)

    monkeypatch.setattr(late_outcomes, "find_by_id", read_late)
    assert await late.check_due() == 0
    assert harness.provider.calls.count("poll") == polls


async def test_a_recorded_outcome_is_not_checked_again(harness: GatewayHarness, late: LateOutcomes) -> None:
    attempt = await given_up(harness)
    await look(harness, late, attempt)
    assert "next_check_at" not in harness.entry(attempt)
    assert await late.check_due() == 0
    await harness.outbox.sweep(timedelta(seconds=-1))
    assert len(harness.publisher.said(AttemptSettled)) == 1


async def test_a_late_outcome_is_not_checked_before_its_time(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    left = harness.entry(attempt)["next_check_at"] - now()
    assert FIRST_CHECK - timedelta(seconds=1) < left <= FIRST_CHECK
    assert await late.check_due() == 0


async def test_an_end_that_the_provider_reported_is_not_checked(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [NOBODY_KNOWS]
    await harness.finish(attempt)
    assert "next_check_at" not in harness.entry(attempt)


async def test_an_orphan_is_stopped_and_checked_again(harness: GatewayHarness, late: LateOutcomes) -> None:
    attempt = await given_up(harness)
    harness.provider.statuses = [RUNNING]
    await look(harness, late, attempt)
    assert harness.provider.calls[-2:] == ["poll", "cancel"]
    assert harness.entry(attempt)["orphan"]
    assert harness.publisher.said(AttemptSettled) == []
    harness.provider.statuses = [STOPPED]
    await look(harness, late, attempt)
    [settled] = harness.publisher.said(AttemptSettled)
    assert (settled.outcome, settled.billed) == ("cancelled", "yes")


async def test_a_provider_that_is_silent_is_asked_less_and_less_often(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    pauses = []
    for _ in range(MAX_CHECKS):
        harness.provider.statuses = [StatusUnavailable("502")]
        await look(harness, late, attempt)
        pauses.append(round((harness.entry(attempt)["next_check_at"] - now()).total_seconds()))
    assert pauses == [10 * 2**checks for checks in range(MAX_CHECKS)]
    harness.provider.statuses = [StatusUnavailable("502")]
    await look(harness, late, attempt)
    assert harness.entry(attempt)["next_check_at"] is None, "and in the end no more"
    assert await late.check_due() == 0
    assert harness.entry(attempt)["billed"] == "unknown"


def test_checks_become_rarer_and_end() -> None:
    assert next_check(MAX_CHECKS - 1, now()) is not None
    assert next_check(MAX_CHECKS, now()) is None


async def test_an_outcome_that_stays_unknown_is_not_published(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    harness.provider.statuses = [NOBODY_KNOWS]
    await look(harness, late, attempt)
    entry = harness.entry(attempt)
    assert (entry["billed"], "next_check_at" in entry, "final_outcome" in entry) == ("unknown", False, False)
    assert harness.publisher.said(AttemptSettled) == []


async def test_a_submission_without_an_answer_is_found_and_its_bill_entered(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await unanswered(harness)
    harness.provider.findings = [{"id": "found"}]
    await look(harness, late, attempt)
    entry = harness.entry(attempt)
    assert (entry["external_id"], entry["billed"], entry["final_outcome"]) == ("found", "yes", "succeeded")


async def test_a_submission_that_never_came_there_was_not_billed(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await unanswered(harness)
    harness.provider.findings = [*([StatusUnavailable("503")] * NOT_FOUND_CHECKS), None]
    for _ in range(NOT_FOUND_CHECKS):
        await look(harness, late, attempt)
    for _ in range(NOT_FOUND_CHECKS - 1):
        await look(harness, late, attempt)
    assert harness.publisher.said(AttemptSettled) == [], "it may just have forgotten"
    await look(harness, late, attempt)
    [settled] = harness.publisher.said(AttemptSettled)
    assert (settled.outcome, settled.billed) == ("failed", "no")


async def test_a_provider_without_a_lookup_is_checked_once(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await unanswered(harness)
    late = LateOutcomes(harness.attempts.mongo, FakeProvider(), "gateway-fal")
    await look(harness, late, attempt)
    assert "next_check_at" not in harness.entry(attempt)
    assert harness.publisher.said(AttemptSettled) == []


async def test_a_check_is_made_by_one_of_several_processes(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    harness.entry(attempt)["next_check_at"] = now()
    document = dict(harness.entry(attempt))
    other = LateOutcomes(harness.attempts.mongo, harness.provider, "gateway-fal")
    polls = harness.provider.calls.count("poll")
    await late._check(document)
    await other._check(document)
    assert harness.provider.calls.count("poll") == polls + 1


async def test_an_unpublished_end_is_published_before_the_late_outcome(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    debt = {"at": now(), "messages": []}
    harness.entry(attempt).update(outbox=debt, next_check_at=now())
    assert await late.check_due() == 1
    assert (harness.entry(attempt)["outbox"], harness.entry(attempt)["billed"]) == (debt, "unknown")
    assert harness.entry(attempt)["next_check_at"] > now(), "it is asked for again"


async def test_removing_a_published_entry_leaves_a_later_one(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [STOPPED]
    await harness.finish(attempt)
    later = {"at": harness.entry(attempt)["outbox"]["at"] + timedelta(seconds=1), "messages": []}
    harness.entry(attempt)["outbox"] = later  # another process has cleared the first and made this one
    await harness.ledger.remove_published()
    assert harness.entry(attempt)["outbox"] == later


async def test_an_old_outbox_entry_is_left_to_sweepers(harness: GatewayHarness) -> None:
    old, young = await harness.accept(), await harness.accept()
    harness.provider.statuses = [STOPPED, STOPPED]
    for attempt in (old, young):
        await harness.finish(attempt)
    harness.entry(old)["outbox"]["at"] = long_ago = now() - OVERDUE
    harness.ledger._published[0] = (old.id, long_ago)
    await harness.ledger.remove_published()
    assert ("outbox" in harness.entry(old), "outbox" in harness.entry(young)) == (True, False)


async def test_an_unexpected_error_in_one_check_stops_no_other(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    odd, other = await given_up(harness), await given_up(harness)
    for attempt in (odd, other):
        harness.entry(attempt)["next_check_at"] = now()
    harness.provider.statuses = [RuntimeError("a bug of ours"), PAID]
    assert await late.check_due() == 2
    assert sorted(harness.entry(attempt)["billed"] for attempt in (odd, other)) == ["unknown", "yes"]


@pytest.mark.parametrize("status", [PAID, STOPPED, NOBODY_KNOWS, Failed("lost", "", True, "no")])
async def test_a_delivered_image_stays_billed_whatever_is_reported_later(
    harness: GatewayHarness, late: LateOutcomes, status: Any
) -> None:
    """A second submission of the same attempt ran on and was stopped."""
    attempt = await harness.accept()
    harness.provider.statuses = [PAID, RUNNING, status]
    await harness.finish(attempt)
    await harness.ledger.remove_published()
    for _ in range(2):
        await look(harness, late, attempt)
    entry = harness.entry(attempt)
    assert (entry["billed"], entry["cost_usd"], entry["orphan"]) == ("yes", 0.03, True)
    assert harness.publisher.said(AttemptSettled) == []


async def test_a_late_outcome_that_is_not_found_is_checked_until_it_is_reported(
    harness: GatewayHarness, late: LateOutcomes
) -> None:
    attempt = await given_up(harness)
    harness.provider.statuses = [NotFound("404"), PAID]
    await look(harness, late, attempt)
    assert harness.entry(attempt)["billed"] == "unknown"
    await look(harness, late, attempt)
    assert (harness.entry(attempt)["final_outcome"], harness.entry(attempt)["billed"]) == ("succeeded", "yes")
