"""Writes, submissions and messages when an attempt is submitted."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from contracts.renders import RenderFailed, RenderProgressed, RenderSucceeded
from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected
from services.gateways.runtime.lifecycle.decisions import Wait
from services.gateways.runtime.lifecycle.intervals import backoff
from services.gateways.runtime.lifecycle.submitting import LEASE_RETRY, MAX_UNEXPECTED_ERRORS
from shared.clock import now
from tests.fakes.ledger import GatewayHarness
from tests.fakes.provider import DONE, OUTPUT, QUEUED, RUNNING, a_command


async def test_a_submission_is_in_the_ledger_with_the_providers_id(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["billed"]) == ("submitted", "yes")
    assert entry["external_id"] == entry["submission_ref"]["id"] == f"external-{attempt.id}"


async def test_a_recoverable_ref_is_saved_with_the_first_progress(harness: GatewayHarness) -> None:
    harness.provider.recoverable = True
    harness.provider.statuses = [RUNNING]
    attempt = await harness.accept()
    await harness.step(attempt)
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("submitting", "unknown")
    await harness.step(attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["billed"]) == ("submitted", "yes")
    assert entry["external_id"] == entry["submission_ref"]["id"] == f"external-{attempt.id}"


async def test_a_recoverable_ref_is_saved_with_the_end_if_that_comes_first(harness: GatewayHarness) -> None:
    harness.provider.recoverable = True
    attempt = await harness.accept()
    harness.attempts.bulk_writes = 0
    await harness.finish(attempt)
    entry = harness.entry(attempt)
    assert (entry["state"], entry["external_id"]) == ("succeeded", f"external-{attempt.id}")
    assert harness.attempts.bulk_writes == 1, "of the end; the intent goes with others'"


async def test_a_process_that_lost_a_running_attempt_leaves_the_ref_to_the_owner(
    harness: GatewayHarness,
) -> None:
    harness.provider.recoverable = True
    harness.provider.statuses = [RUNNING]
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.entry(attempt)["owner"] = "gateway-fal:another"
    assert await harness.step(attempt) is None
    assert harness.publisher.sent == []
    assert harness.entry(attempt)["external_id"] == f"external-{attempt.id}"


async def test_a_successful_attempt_publishes_progress_and_then_its_outputs(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [QUEUED, RUNNING, RUNNING]
    await harness.finish(attempt)
    told = harness.publisher.said(RenderProgressed)
    assert [(status.state, status.percent, status.queue_position) for status in told] == [
        ("queued", None, 3),
        ("running", 40, None),
    ]
    [success] = harness.publisher.said(RenderSucceeded)
    assert (success.attempt_id, success.outputs, success.seed) == (attempt.id, (OUTPUT,), 7)
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("succeeded", "yes")
    assert harness.provider.submitted == 1


async def test_a_rejected_request_fails_unbilled_and_is_not_repeated(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [Rejected("invalid_request", "422 no such model")]
    assert await harness.finish(attempt) == 1
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("invalid_request", False, "no")
    assert harness.entry(attempt)["error"] == "invalid_request: 422 no such model"
    assert harness.provider.submitted == 1


async def test_a_request_that_cannot_be_expressed_costs_nothing(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.preparations = [Rejected("input_not_found", "there is no stored image")]
    assert await harness.finish(attempt) == 1
    assert harness.entry(attempt)["submissions"] == harness.provider.submitted == 0
    assert harness.entry(attempt)["billed"] == "no"


async def test_a_busy_provider_is_tried_again_in_the_same_attempt(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [NotAccepted("provider_busy", "429")]
    pause = await harness.step(attempt)
    assert pause is not None
    assert 0.0 <= pause <= 1.0
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("accepted", "no")
    await harness.finish(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"
    assert harness.provider.submitted == 2


async def test_a_retry_waits_as_long_as_the_provider_asks(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [NotAccepted("provider_busy", "429", after_seconds=17.0)]
    pause = await harness.step(attempt)
    assert pause is not None
    assert 17.0 < pause <= 18.0, "and not all at the same moment"


def test_a_backoff_is_any_time_up_to_one_that_doubles() -> None:
    for tries, longest in [(1, 1.0), (3, 4.0), (10, 30.0)]:
        assert backoff(tries, at_least=0.0, at_most=100.0) == Wait(0.0, longest)
    assert backoff(3, at_least=2.0, at_most=5.0) == Wait(2.0, 5.0)


@pytest.mark.parametrize(("pause", "ends"), [(4.9, False), (5.1, True), (3600.0, True)])
async def test_a_provider_that_asks_for_a_long_pause_is_left_if_there_is_an_alternative(
    harness: GatewayHarness, pause: float, ends: bool
) -> None:
    attempt = await harness.accept(alternatives=True)
    harness.provider.submissions = [NotAccepted("provider_busy", "429", after_seconds=pause)]
    assert (await harness.step(attempt) is None) == ends
    failures = harness.publisher.said(RenderFailed)
    assert [(failure.code, failure.retryable, failure.billed) for failure in failures] == (
        [("provider_busy", True, "no")] if ends else []
    )


async def test_a_provider_without_an_alternative_is_waited_for_until_the_deadline(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept(deadline_at=now() + timedelta(seconds=20))
    harness.provider.submissions = [NotAccepted("provider_busy", "429", after_seconds=3600.0)]
    pause = await harness.step(attempt)
    assert pause is not None
    assert 19 < pause <= 20.1


async def test_a_provider_that_stays_busy_fails_the_attempt_unbilled(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [NotAccepted("provider_busy", "503") for _ in range(10)]
    assert await harness.finish(attempt) == 3
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("provider_busy", True, "no")
    assert harness.entry(attempt)["submissions"] == 3


async def test_an_attempt_after_its_deadline_is_not_sent(harness: GatewayHarness) -> None:
    attempt = await harness.accept(deadline_at=now() - timedelta(seconds=1))
    assert await harness.finish(attempt) == 1
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.billed) == ("deadline_exceeded", "no")
    assert harness.provider.calls == []


async def test_nothing_is_sent_once_the_lease_is_over(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.lease.release()
    assert await harness.step(attempt) == LEASE_RETRY
    assert harness.provider.submitted == 0
    await harness.lease.take()
    harness.entry(attempt)["owner"] = attempt.owner = harness.lease.owner
    await harness.finish(attempt)
    assert harness.provider.submitted == 1


async def test_an_attempt_with_another_owner_is_dropped_silently(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.entry(attempt)["owner"] = "gateway-fal:another"
    assert await harness.step(attempt) is None
    assert harness.provider.submitted == 0
    assert harness.publisher.sent == []


async def test_a_process_that_loses_the_attempt_while_it_is_sent_leaves_it_to_the_successor(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.before_submit = lambda request: harness.entry(attempt).update(
        owner="gateway-fal:another"
    )
    assert await harness.step(attempt) is None
    assert harness.entry(attempt)["state"] == "submitting", "the heir asks what became of it"


async def test_an_intent_that_could_not_be_written_is_written_later_and_sent_once(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await harness.step(attempt)
    await harness.finish(attempt)
    assert harness.provider.submitted == 1
    assert "find" not in harness.provider.calls, "nothing was sent, so there is nothing to find out"
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_a_flagged_image_fails_billed_unless_it_was_allowed(harness: GatewayHarness) -> None:
    flagged = OUTPUT.model_copy(update={"nsfw": True})
    attempt = await harness.accept()
    harness.provider.statuses = [type(DONE)((flagged,))]
    await harness.finish(attempt)
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("nsfw", False, "yes")
    spec = attempt.command.spec.model_copy(update={"nsfw_allowed": True})
    allowed = await harness.accept(a_command(spec=spec))
    harness.provider.statuses = [type(DONE)((flagged,))]
    await harness.finish(allowed)
    assert harness.publisher.said(RenderSucceeded)


async def test_the_requested_seed_is_published_if_the_provider_reports_none(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [type(DONE)((OUTPUT,))]
    await harness.finish(attempt)
    [success] = harness.publisher.said(RenderSucceeded)
    assert success.seed == attempt.command.spec.seed == 11


async def test_an_unknown_outcome_is_recorded(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.submissions = [OutcomeUnknown("the answer was lost")]
    assert await harness.step(attempt) == 0.5
    assert (harness.entry(attempt)["state"], harness.entry(attempt)["billed"]) == ("unknown", "unknown")


async def test_an_unexpected_error_is_not_repeated_forever(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.preparations = [KeyError("a bug of ours") for _ in range(10)]
    for _ in range(MAX_UNEXPECTED_ERRORS - 1):
        with pytest.raises(KeyError):
            await harness.step(attempt)
    assert await harness.step(attempt) is None
    [failure] = harness.publisher.said(RenderFailed)
    assert (failure.code, failure.retryable, failure.billed) == ("internal_error", True, "no")
    assert (harness.entry(attempt)["submissions"], harness.provider.submitted) == (0, 0)


async def test_a_database_that_is_away_is_waited_for(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.preparations = [AutoReconnect("away") for _ in range(2 * MAX_UNEXPECTED_ERRORS)]
    for _ in range(2 * MAX_UNEXPECTED_ERRORS):
        with pytest.raises(AutoReconnect):
            await harness.step(attempt)
    await harness.finish(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_concurrent_intents_are_one_statement_and_respect_owners(harness: GatewayHarness) -> None:
    mine, theirs, also_mine = [await harness.accept() for _ in range(3)]
    harness.entry(theirs)["owner"] = "gateway-fal:another"
    steps = await asyncio.gather(*(harness.step(each) for each in (mine, theirs, also_mine)))
    assert [step is None for step in steps] == [False, True, False]
    assert harness.provider.submitted == 2
    assert [harness.entry(each)["submissions"] for each in (mine, theirs, also_mine)] == [1, 0, 1]
    assert mine.submitting_at == also_mine.submitting_at == harness.entry(mine)["submitting_at"]
