"""A submission without a usable answer is resolved before anything is sent again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.kit.provider import (
    Failed,
    NotAccepted,
    NotFound,
    OutcomeUnknown,
    StatusUnavailable,
)
from services.gateways.runtime.lifecycle.attempt import Attempt
from shared.clock import now
from shared.mongo.leases import LEASE_SECONDS
from tests.fakes.ledger import GatewayHarness, set_state
from tests.fakes.provider import RUNNING


@pytest.fixture
async def lost(harness: GatewayHarness) -> Attempt:
    """Return an attempt with an unknown outcome."""
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("the answer was lost")]
    await harness.step(attempt)
    return attempt


async def test_a_submission_that_a_lookup_finds_is_polled_and_not_repeated(
    harness: GatewayHarness, lost: Attempt
) -> None:
    harness.provider.findings = [{"id": "found"}]
    await harness.finish(lost)
    assert harness.provider.calls == ["prepare", "submit", "find", "poll"]
    assert harness.entry(lost)["external_id"] == "found"
    assert (harness.entry(lost)["state"], harness.entry(lost)["submissions"]) == ("succeeded", 1)


async def test_not_found_does_not_count_while_the_request_may_still_arrive(
    harness: GatewayHarness, lost: Attempt
) -> None:
    for _ in range(5):
        pause = await harness.step(lost)
        assert pause is not None
        assert 0 < pause <= 2.0
    harness.age(lost, LEASE_SECONDS + 4.0)
    await harness.step(lost)
    assert harness.provider.submitted == 1


async def test_a_submission_that_is_certainly_not_there_is_repeated_once(
    harness: GatewayHarness, lost: Attempt
) -> None:
    harness.age(lost, LEASE_SECONDS + 5.0)
    assert await harness.step(lost) is not None
    assert (harness.entry(lost)["state"], harness.entry(lost)["billed"]) == ("accepted", "no")
    await harness.finish(lost)
    assert harness.provider.submitted == harness.entry(lost)["submissions"] == 2
    assert len(harness.publisher.said(RenderSucceeded)) == 1


async def test_a_submit_that_fails_unexpectedly_may_have_been_accepted(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [RuntimeError("a bug of ours")]
    with pytest.raises(RuntimeError):
        await harness.step(attempt)
    harness.provider.findings = [{"id": "found"}]
    await harness.finish(attempt)
    assert harness.provider.calls == ["prepare", "submit", "find", "poll"]


async def test_a_provider_that_does_not_answer_is_asked_again_and_nothing_is_sent(
    harness: GatewayHarness, lost: Attempt
) -> None:
    harness.provider.findings = [StatusUnavailable("502"), StatusUnavailable("502"), {"id": "found"}]
    harness.age(lost, 3600)
    await harness.finish(lost)
    assert harness.provider.calls.count("find") == 3
    assert harness.provider.submitted == 1


async def test_an_unknown_outcome_without_a_lookup_fails_after_the_grace_period_with_unknown_cost(
    harness: GatewayHarness, lost: Attempt
) -> None:
    harness.without_lookup()
    pause = await harness.step(lost)
    assert pause is not None
    assert 59 < pause <= 60
    harness.age(lost, 60)
    assert await harness.step(lost) is None
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.billed, failure.retryable) == ("outcome_unknown", "unknown", True)
    assert harness.provider.submitted == 1


async def test_a_retry_after_an_unknown_outcome_is_a_setting() -> None:
    harness = GatewayHarness(grace_period=0.0, resubmit_unknown=False)
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("lost")]
    harness.without_lookup()
    await harness.finish(attempt)
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable) == ("outcome_unknown", False)


@pytest.mark.parametrize("state", ["submitting", "unknown"])
async def test_a_submission_of_an_expired_process_is_looked_up_by_its_successor(
    harness: GatewayHarness, state: str
) -> None:
    attempt = await harness.accept()
    fields = {"owner": "dead", "state": state, "submitting_at": now()}
    harness.entry(attempt).update(fields)
    held = [found async for found in harness.takeover.held_by("dead")]
    [taken] = await harness.takeover.take_over(held, "dead", harness.lease.owner)
    harness.provider.findings = [{"id": "found"}]
    await harness.finish(taken)
    assert harness.provider.calls == ["find", "poll"]
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_a_submission_that_an_expired_process_saved_is_polled_by_its_successor(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.entry(attempt)["owner"] = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    [taken] = await harness.takeover.take_over(held, "dead", harness.lease.owner)
    assert taken.ref == attempt.ref
    await harness.finish(taken)
    assert harness.provider.submitted == 1
    assert len(harness.publisher.said(RenderSucceeded)) == 1


async def test_two_successors_never_get_the_same_attempt(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.entry(attempt)["owner"] = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    assert len(await harness.takeover.take_over(held, "dead", "one")) == 1
    assert await harness.takeover.take_over(held, "dead", "two") == []
    assert harness.entry(attempt)["owner"] == "one"


async def taken_over(harness: GatewayHarness, dead: str = "dead") -> list[Attempt]:
    """Take over the attempts of an expired owner."""
    held = [found async for found in harness.takeover.held_by(dead)]
    return await harness.takeover.take_over(held, dead, harness.lease.owner)


async def test_an_intent_written_since_the_successor_read_is_not_overwritten(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.entry(attempt)["owner"] = attempt.owner = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    assert await harness.ledger.write_intent(attempt)
    assert await harness.takeover.take_over(held, "dead", harness.lease.owner) == []
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["owner"]) == ("submitting", "dead")
    [taken] = await taken_over(harness)
    assert taken.state == "unknown", "the next look asks what became of it"


async def test_attempts_that_were_read_beside_a_changed_one_are_taken_over(harness: GatewayHarness) -> None:
    moved, still = [await harness.accept(), await harness.accept()]
    for attempt in (moved, still):
        harness.entry(attempt)["owner"] = attempt.owner = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    assert await harness.ledger.write_intent(moved)
    [taken] = await harness.takeover.take_over(held, "dead", harness.lease.owner)
    assert taken.id == still.id


async def test_an_attempt_that_was_sent_meanwhile_is_taken_over_all_the_same(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.entry(attempt).update(owner="dead", state="submitting", submitting_at=now())
    attempt.owner = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    assert await harness.ledger.save_ref(attempt, {"id": "external"})
    [taken] = await harness.takeover.take_over(held, "dead", harness.lease.owner)
    await harness.finish(taken)
    assert harness.provider.calls == ["poll"]


async def test_an_owner_that_expires_while_it_submits_leaves_the_ref_to_its_successor(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.before_submit = lambda request: harness.entry(attempt).update(
        owner="heir", state="unknown"
    )
    assert await harness.step(attempt) is None
    entry = harness.entry(attempt)
    assert (entry["owner"], entry["state"]) == ("heir", "unknown")
    assert (entry["external_id"], entry["billed"]) == (f"external-{attempt.id}", "yes")
    entry["owner"] = "dead"
    [taken] = await taken_over(harness)
    harness.provider.calls.clear()
    await harness.finish(taken)
    assert harness.provider.calls == ["poll"], "neither asked for nor sent again"


async def test_a_successor_finds_a_ref_that_was_written_after_its_takeover(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.entry(attempt).update(owner="dead", state="submitting", submitting_at=now())
    [successor] = await taken_over(harness)
    assert await harness.step(successor) is not None
    expired = replace(attempt, owner="dead", submitting_at=successor.submitting_at)
    assert not await harness.ledger.save_ref(expired, {"id": "late"})
    harness.age(successor, 3600)  # the provider still says that it has none of it
    await harness.finish(successor)
    assert harness.provider.submitted == 0
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["external_id"]) == ("succeeded", "late")


async def test_a_ref_of_an_earlier_submission_is_not_saved_for_a_later_one(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    earlier = now()
    harness.entry(attempt).update(state="submitting", submitting_at=earlier + timedelta(seconds=30))
    expired = replace(attempt, owner="dead", submitting_at=earlier)
    assert not await harness.ledger.save_ref(expired, {"id": "of the earlier one"})
    assert "submission_ref" not in harness.entry(attempt)


def lost_for_good(harness: GatewayHarness, attempt: Attempt) -> None:
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("lost", False, "unknown")
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("failed", "unknown")


@pytest.mark.parametrize("status", [StatusUnavailable("502"), RUNNING], ids=["silent", "running for ever"])
async def test_a_submission_that_the_provider_never_ends_is_given_up_long_after_its_deadline(
    harness: GatewayHarness, status: Any
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [status] * 10
    await harness.step(attempt)
    harness.age_deadline(attempt, 55)
    assert await harness.step(attempt) is not None
    harness.age_deadline(attempt, 61)
    assert await harness.step(attempt) is None
    lost_for_good(harness, attempt)


async def test_a_submission_that_runs_forever_is_cancelled_when_it_is_given_up(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [RUNNING]
    await harness.step(attempt)
    harness.age_deadline(attempt, 61)
    await harness.step(attempt)
    assert harness.provider.calls[-1] == "cancel"


async def test_an_end_long_after_the_deadline_counts(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.age_deadline(attempt, 61)
    await harness.finish(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_an_overdue_unknown_outcome_is_given_up_without_an_answer(
    harness: GatewayHarness, lost: Attempt
) -> None:
    harness.provider.findings = [StatusUnavailable("502")] * 10
    assert await harness.step(lost) is not None
    harness.age_deadline(lost, 61)
    assert await harness.step(lost) is None
    lost_for_good(harness, lost)
    assert harness.provider.submitted == 1


MISSING = NotFound("the provider knows nothing of it")


async def test_a_single_not_found_answer_does_not_end_an_attempt(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [MISSING, MISSING, MISSING, RUNNING, MISSING]
    await harness.step(attempt)
    assert await harness.step(attempt) == 20.0, "looks are spread over the grace"
    attempt.facts = replace(attempt.facts, not_found_since=now() - timedelta(seconds=60))
    for _ in range(4):
        assert await harness.step(attempt) is not None
    await harness.finish(attempt)
    assert (harness.entry(attempt)["state"], harness.provider.submitted) == ("succeeded", 1)


@pytest.mark.parametrize("resubmit", [True, False])
async def test_a_submission_that_stays_missing_is_given_up_and_checked_later(resubmit: bool) -> None:
    harness = GatewayHarness(grace_period=0.0, resubmit_unknown=resubmit)
    attempt = await harness.accept()
    harness.provider.statuses = [MISSING] * 4
    assert await harness.finish(attempt) == 5
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("lost", resubmit, "unknown")
    assert "next_check_at" in harness.entry(attempt)


async def test_an_end_that_cannot_be_read_has_a_code_of_its_own_and_is_not_bought_again() -> None:
    harness = GatewayHarness(grace_period=0.0)
    attempt = await harness.accept()
    unreadable = NotFound("500 for this prompt", code="result_unreadable", retryable=False)
    harness.provider.statuses = [unreadable] * 4
    await harness.finish(attempt)
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable) == ("result_unreadable", False)


async def test_a_cancelled_attempt_that_is_missing_ends_at_once(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [MISSING]
    await harness.step(attempt)
    attempt.cancel = True
    assert await harness.step(attempt) is None
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("cancelled", "unknown")
    assert "next_check_at" in harness.entry(attempt)


async def test_a_requeue_does_not_undo_a_later_submission(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [NotAccepted("provider_busy", "503")]
    await harness.step(attempt)
    before = replace(attempt)
    await harness.step(attempt)
    assert not await harness.ledger.requeue(before, withdraw_intent=False)
    assert not await harness.ledger.requeue(attempt, withdraw_intent=False)
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("submitted", "yes")


async def test_an_attempt_with_a_ref_was_accepted_whatever_its_state_is(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.entry(attempt).update(owner="dead", state="accepted")
    [successor] = await taken_over(harness)
    await harness.finish(successor)
    assert (harness.entry(attempt)["state"], harness.provider.submitted) == ("succeeded", 1)


async def test_a_ref_written_since_the_successor_read_is_not_overlooked(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.entry(attempt)["owner"] = "dead"
    held = [found async for found in harness.takeover.held_by("dead")]
    harness.entry(attempt)["submission_ref"] = {"id": "external"}
    assert await harness.takeover.take_over(held, "dead", harness.lease.owner) == []


async def test_an_overdue_attempt_is_looked_up_once_more(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    set_state(attempt, "unknown")
    harness.age_deadline(attempt, 3600)
    harness.provider.findings = [{"id": "found"}]
    await harness.finish(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_the_message_of_a_failure_names_no_internal_address(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [Failed("provider_error", "GET http://10.1.2.3:8188/view?x=1 failed", False)]
    await harness.finish(attempt)
    [failure] = harness.publisher.said(RenderFailed)
    assert failure.message == "GET /view failed"
