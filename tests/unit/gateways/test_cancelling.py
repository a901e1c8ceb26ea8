"""A cancel at any point: before, during and after a submission."""

import pytest

from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed
from services.gateways.kit.provider import (
    Failed,
    NotAccepted,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
)
from services.gateways.runtime.recovery.webhook_intake import WebhookIntake
from services.gateways.runtime.scheduling.engine import Engine
from shared.clock import now
from tests.fakes.ledger import GatewayHarness, set_state
from tests.fakes.provider import DONE, QUEUED, RUNNING, a_cancel, a_command
from tests.fakes.publisher import received
from tests.fakes.steps import as_step

STOPPED = Failed("cancelled", "interrupted", retryable=False, billed="yes")
GONE = Failed("lost", "nowhere", retryable=True, billed="no")


async def test_an_attempt_that_is_cancelled_before_it_is_sent_is_never_sent(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    attempt.cancel = True
    assert await harness.finish(attempt) == 1
    assert harness.provider.calls == []
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("cancelled", "no")
    assert harness.publisher.sent == [], "it cost nothing, so that nobody has to hear of it"


@pytest.mark.parametrize(("status", "end", "billed"), [(QUEUED, GONE, "no"), (RUNNING, STOPPED, "yes")])
async def test_a_cancelled_submission_is_stopped_at_the_provider(
    harness: GatewayHarness, status: object, end: Failed, billed: str
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [status, end]  # type: ignore[list-item]
    await harness.step(attempt)
    await harness.step(attempt)
    attempt.cancel = True
    assert await harness.step(attempt) is None
    assert harness.provider.calls[-2:] == ["cancel", "poll"]
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("cancelled", billed)
    assert harness.publisher.said(RenderFailed) == []
    settled = [(each.outcome, each.billed) for each in harness.publisher.said(AttemptSettled)]
    assert settled == ([] if billed == "no" else [("cancelled", billed)])


async def test_a_cancelled_submission_that_completes_is_billed_and_not_delivered(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [type(DONE)(DONE.outputs, cost_usd=0.03)]
    await harness.step(attempt)
    attempt.cancel = True
    await harness.finish(attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["billed"], entry["cost_usd"]) == ("cancelled", "yes", 0.03)
    [settled] = harness.publisher.said(AttemptSettled)
    assert (settled.attempt_id, settled.outcome) == (attempt.id, "succeeded")
    assert (settled.billed, settled.cost_usd) == ("yes", 0.03)
    assert len(harness.publisher.sent) == 1, "and nothing else"


async def test_a_cancelled_attempt_is_still_followed_to_its_end(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    attempt.cancel = True
    harness.provider.statuses = [RUNNING, StatusUnavailable("502"), RUNNING, STOPPED]
    assert await harness.finish(attempt) == 4
    assert len(harness.publisher.sent) == 1, "no one wants to hear of its progress"
    assert harness.publisher.said(AttemptSettled)


async def test_an_unknown_outcome_is_found_and_then_stopped(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("lost")]
    harness.provider.findings = [{"id": "found"}]
    harness.provider.statuses = [STOPPED]
    await harness.step(attempt)
    attempt.cancel = True
    await harness.finish(attempt)
    assert harness.provider.calls == ["prepare", "submit", "find", "cancel", "poll"]
    assert harness.provider.submitted == 1


async def test_an_unknown_outcome_that_is_not_wanted_is_not_sent_again(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("lost")]
    await harness.step(attempt)
    attempt.cancel = True
    harness.age(attempt, 3600)
    await harness.finish(attempt)
    assert harness.provider.submitted == 1
    assert harness.entry(attempt)["state"] == "cancelled"


async def test_a_cancelled_attempt_with_an_unknown_outcome_ends_with_unknown_cost(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("lost")]
    harness.without_lookup()
    await harness.step(attempt)
    attempt.cancel = True
    harness.age(attempt, 3600)
    assert await harness.finish(attempt) == 1
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("cancelled", "unknown")
    assert harness.publisher.said(RenderFailed) == []


@pytest.mark.parametrize(
    "outcome",
    [NotAccepted("provider_busy", "429", after_seconds=30.0), Rejected("invalid_request", "422")],
    ids=["not accepted", "rejected"],
)
async def test_a_cancel_during_the_submission_ends_a_refused_attempt_silently(
    harness: GatewayHarness, outcome: Exception
) -> None:
    attempt = await harness.accept(alternatives=True)
    harness.provider.submissions = [outcome]
    harness.provider.before_submit = lambda request: setattr(attempt, "cancel", True)
    assert await harness.step(attempt) is None
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("cancelled", "no")
    assert harness.publisher.sent == []


async def test_a_cancel_during_the_submission_stops_an_accepted_one(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.before_submit = lambda request: setattr(attempt, "cancel", True)
    harness.provider.statuses = [STOPPED]
    await harness.finish(attempt)
    assert harness.provider.calls == ["prepare", "submit", "cancel", "poll"]
    assert harness.entry(attempt)["state"] == "cancelled"


@pytest.mark.parametrize("status", [StatusUnavailable("502"), RUNNING], ids=["silent", "runs on"])
async def test_a_cancelled_attempt_that_never_ends_is_given_up_as_cancelled_and_checked_later(
    harness: GatewayHarness, status: object
) -> None:
    attempt = await harness.accept(deadline_at=now())
    set_state(attempt, "submitted", ref={"id": "external"})
    attempt.cancel = True
    harness.age_deadline(attempt, 61)
    harness.provider.statuses = [status]  # type: ignore[list-item]
    assert await harness.step(attempt) is None
    entry = harness.entry(attempt)
    assert (entry["state"], entry["billed"], entry["next_check_at"] > now()) == ("cancelled", "unknown", True)
    assert harness.publisher.said(RenderFailed) == []


async def test_a_cancel_that_overtakes_its_command_makes_it_a_no_op(harness: GatewayHarness) -> None:
    command, owner = a_command(), await harness.owner()
    await harness.intake.accept_cancels([a_cancel(command)])
    assert await harness.intake.accept([received(command)], owner) == []
    entry = harness.attempts.kept[command.attempt_id]
    assert (entry["state"], entry["billed"], entry["submissions"]) == ("cancelled", "no", 0)


async def test_a_cancel_of_an_open_attempt_is_a_request_that_its_owner_finds(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    engine = Engine(as_step(harness.step), slots=1)
    engine.add([attempt])
    pushes = WebhookIntake(harness.attempts.mongo, "fal", engine)
    await harness.intake.accept_cancels([a_cancel(attempt.command)])
    assert harness.entry(attempt)["owner"] == harness.lease.owner
    assert (harness.entry(attempt)["cancel"], harness.entry(attempt)["next_check_at"] <= now()) == (
        True,
        True,
    )
    await pushes.collect("another process")
    assert not attempt.cancel
    await pushes.collect(harness.lease.owner)
    assert attempt.cancel
    assert attempt.poll_requested, "a push of something cancelled is heard too"
    assert "next_check_at" not in harness.entry(attempt)


async def test_a_cancel_after_the_end_changes_nothing(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.finish(attempt)
    before = dict(harness.entry(attempt))
    await harness.intake.accept_cancels([a_cancel(attempt.command)])
    assert harness.entry(attempt) == before


async def test_a_redelivered_cancel_changes_nothing(harness: GatewayHarness) -> None:
    command = a_command()
    for _ in range(3):
        await harness.intake.accept_cancels([a_cancel(command)])
    assert list(harness.attempts.kept) == [command.attempt_id]
    assert "next_check_at" not in harness.attempts.kept[command.attempt_id], "nobody has to be told"


async def test_a_cancelled_submission_is_polled_soon_however_rare_polls_are(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.executor.set_min_poll_interval(600.0)
    harness.provider.statuses = [RUNNING, RUNNING]
    assert (await harness.step(attempt) or 0.0) > 60
    attempt.cancel = True
    assert (await harness.step(attempt) or 0.0) < 10
