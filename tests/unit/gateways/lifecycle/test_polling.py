"""Boundaries of the rules for unknown outcomes and for submissions that the provider has."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.operations import AttemptSettled
from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.kit.provider import Completed, Failed, InProgress, NotFound, StatusUnavailable
from services.gateways.runtime.lifecycle.decisions import (
    Action,
    End,
    Poll,
    PublishProgress,
    PublishSuccess,
    RequestCancel,
    Requeue,
    SaveRef,
    Wait,
)
from services.gateways.runtime.lifecycle.observations import Due, Observation, Polled, SuccessPublished
from services.gateways.runtime.lifecycle.submitting import LEASE_MARGIN, LEASE_RETRY
from tests.fakes.provider import OUTPUT, a_spec
from tests.unit.gateways.lifecycle.driver import ABSENT, LEASE, REF, START, UNSUPPORTED, an_attempt, decide
from tests.unit.gateways.lifecycle.test_submitting import kinds, the_end

RUNNING, DONE = InProgress("running", 40), Completed((OUTPUT,), cost_usd=0.03)
AWAY = StatusUnavailable("502")
GONE = NotFound("the provider does not have it")
LATE = 300.0 + 60.0
"""Seconds after the start when an attempt becomes overdue."""


def polled(status: Any) -> Polled:
    return Polled(status, LEASE)


@pytest.mark.parametrize("observation", [AWAY, ABSENT, UNSUPPORTED, polled(RUNNING)])
@pytest.mark.parametrize(
    ("at", "ends"), [(0.0, False), (LATE, False), (LATE + 0.001, True), (LATE + 60, True)]
)
def test_an_overdue_attempt_is_given_up_and_checked_later(
    observation: Observation, at: float, ends: bool
) -> None:
    attempt = an_attempt("submitted", ref=REF, submitting_at=START + timedelta(seconds=LATE))
    *_, last = decide(attempt, observation, at, overdue_after=60.0).actions
    assert isinstance(last, End) == ends
    if isinstance(last, End):
        assert (last.error or "").startswith("lost: ")
        assert (last.billed, last.next_check_at) == ("unknown", START + timedelta(seconds=at + 10))


def test_a_submission_that_runs_too_long_is_cancelled_before_it_is_given_up() -> None:
    actions = decide(an_attempt("submitted", ref=REF), polled(RUNNING), LATE + 1).actions
    assert kinds(*actions) == [RequestCancel, End]


@pytest.mark.parametrize(
    ("at", "expected"), [(0.0, [Wait]), (14.9, [Wait]), (15.0, [Requeue, Wait]), (100.0, [Requeue, Wait])]
)
def test_a_lost_submission_is_repeated_once_it_must_have_arrived(
    at: float, expected: list[type[Action]]
) -> None:
    attempt = an_attempt("unknown", submitting_at=START)
    actions = decide(attempt, ABSENT, at, lease_seconds=10.0, submit_timeout=5.0).actions
    assert kinds(*actions) == expected


@pytest.mark.parametrize(("at", "left"), [(0.0, 2.0), (14.5, 0.6)])
def test_a_lookup_is_repeated_within_two_seconds(at: float, left: float) -> None:
    attempt = an_attempt("unknown", submitting_at=START)
    [wait] = decide(attempt, ABSENT, at, lease_seconds=10.0, submit_timeout=5.0).actions
    assert isinstance(wait, Wait)
    assert (wait.earliest, wait.latest) == pytest.approx((left, left))


@pytest.mark.parametrize(("at", "ends"), [(59.9, False), (60.0, True), (90.0, True)])
@pytest.mark.parametrize("resubmit", [True, False])
def test_a_provider_without_a_lookup_may_report_during_the_grace_period(
    at: float, ends: bool, resubmit: bool
) -> None:
    attempt = an_attempt("unknown", submitting_at=START)
    [action] = decide(attempt, UNSUPPORTED, at, grace_period=60.0, resubmit_unknown=resubmit).actions
    if not ends:
        assert isinstance(action, Wait)
        assert action.latest == pytest.approx(0.1)
        return
    assert isinstance(action, End)
    assert isinstance(action.message, RenderFailed)
    assert (action.message.code, action.message.retryable) == ("outcome_unknown", resubmit)
    assert (action.billed, action.next_check_at is None) == ("unknown", False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [Poll]),
        ({"saved_ref": None, "ref_recoverable": True}, [Poll]),
        ({"saved_ref": None}, [SaveRef, Poll]),
        ({"cancel": True}, [RequestCancel, Poll]),
        ({"saved_ref": None, "cancel": True}, [SaveRef, RequestCancel, Poll]),
        ({"published": DONE, "cancel": True}, [End]),
    ],
)
def test_a_due_submission_is_polled_after_what_is_still_to_be_done(
    fields: dict[str, Any], expected: list[type[Action]]
) -> None:
    assert kinds(*decide(an_attempt("submitted", ref=REF, **fields), Due()).actions) == expected


def test_the_first_progress_saves_the_ref_and_is_published() -> None:
    attempt = an_attempt("submitted", ref=REF, saved_ref=None, not_found_count=3, not_found_since=START)
    decision = decide(attempt, polled(RUNNING))
    assert kinds(*decision.actions) == [SaveRef, PublishProgress, Wait]
    assert (decision.facts.not_found_count, decision.facts.not_found_since) == (0, None)


@pytest.mark.parametrize(("cancel", "interval"), [(False, 60.0), (True, 1.5)])
def test_polls_are_rare_under_load_unless_a_cancel_is_requested(cancel: bool, interval: float) -> None:
    attempt = an_attempt("submitted", ref=REF, poll_interval=1.0, cancel=cancel)
    *_, wait = decide(attempt, polled(RUNNING), min_poll_interval=60.0).actions
    assert isinstance(wait, Wait)
    assert (wait.earliest, wait.latest) == pytest.approx((0.8 * interval, 1.2 * interval))


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.015), (1.0, 1.5), (1.9, 2.0), (2.0, 2.0)])
@pytest.mark.parametrize("observation", [AWAY, polled(RUNNING)])
def test_poll_intervals_grow_to_their_maximum(observation: Observation, before: float, after: float) -> None:
    attempt = an_attempt("submitted", ref=REF, poll_interval=before)
    assert decide(attempt, observation).facts.poll_interval == pytest.approx(after)


@pytest.mark.parametrize(
    ("earlier", "at", "ends"),
    [
        (0, 0.0, False),
        (2, 61.0, False),
        (3, 59.9, False),
        (3, 60.0, True),
        (3, 90.0, True),
        (4, 60.0, True),
        (30, 59.9, False),
    ],
)
def test_not_found_is_confirmed_four_times_over_the_grace_period(earlier: int, at: float, ends: bool) -> None:
    since = START if earlier else None
    attempt = an_attempt("submitted", ref=REF, not_found_count=earlier, not_found_since=since)
    [action] = decide(attempt, polled(GONE), at, grace_period=60.0).actions
    assert isinstance(action, End) == ends
    if not ends:
        assert action == Wait(20.0, 20.0)


@pytest.mark.parametrize(
    ("resubmit", "again", "expected"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_lost_submission_is_retryable_if_settings_and_provider_allow_it(
    resubmit: bool, again: bool, expected: bool
) -> None:
    attempt = an_attempt("submitted", ref=REF, not_found_count=3, not_found_since=START)
    status = replace(GONE, billed="yes", retryable=again, code="result_unreadable")
    end = the_end(*decide(attempt, polled(status), 200, resubmit_unknown=resubmit).actions)
    assert isinstance(end.message, RenderFailed)
    assert (end.message.code, end.message.retryable, end.billed) == ("result_unreadable", expected, "yes")


def test_a_cancelled_submission_that_is_not_found_ends_at_once() -> None:
    end = the_end(*decide(an_attempt("submitted", ref=REF, cancel=True), polled(GONE)).actions)
    assert (end.state, end.billed, end.next_check_at is None) == ("cancelled", "unknown", False)
    assert isinstance(end.message, AttemptSettled)


@pytest.mark.parametrize(
    ("remaining", "kind"),
    [(0.0, Wait), (LEASE_MARGIN, Wait), (LEASE_MARGIN + 0.001, PublishSuccess), (LEASE, PublishSuccess)],
)
def test_a_success_is_not_published_within_the_margin_of_the_lease(
    remaining: float, kind: type[Action]
) -> None:
    [action] = decide(an_attempt("submitted", ref=REF), Polled(DONE, remaining)).actions
    assert isinstance(action, kind)
    if kind is Wait:
        assert action == Wait(LEASE_RETRY, LEASE_RETRY)


def test_a_success_is_published_before_it_is_written_and_stays_one() -> None:
    attempt = an_attempt("submitted", ref=REF)
    [publish] = decide(attempt, polled(DONE)).actions
    assert isinstance(publish, PublishSuccess)
    decision = decide(attempt, SuccessPublished(publish.completed, publish.message, True))
    end = the_end(*decision.actions)
    assert end == End("succeeded", "yes", 0.03)
    attempt.facts, attempt.cancel = decision.facts, True
    assert decide(attempt, Due()).actions == (end,)


def test_a_success_that_the_broker_did_not_take_goes_to_the_outbox_unchanged() -> None:
    attempt = an_attempt("submitted", ref=REF)
    [publish] = decide(attempt, polled(DONE)).actions
    assert isinstance(publish, PublishSuccess)
    decision = decide(attempt, SuccessPublished(publish.completed, publish.message, False), 30)
    assert the_end(*decision.actions).message is publish.message
    assert decision.facts.published is None


def test_an_image_that_nobody_wants_any_more_is_billed_and_not_delivered() -> None:
    end = the_end(*decide(an_attempt("submitted", ref=REF, cancel=True), polled(DONE)).actions)
    assert (end.state, end.billed, end.cost_usd) == ("cancelled", "yes", 0.03)
    assert isinstance(end.message, AttemptSettled)
    assert (end.message.outcome, end.message.cost_usd) == ("succeeded", 0.03)


@pytest.mark.parametrize("billed", ["yes", "no", "unknown"])
def test_a_failure_reports_its_cost_also_after_a_cancel(billed: Any) -> None:
    status = Failed("provider_error", "out of memory", True, billed, cost_usd=0.01)
    end = the_end(*decide(an_attempt("submitted", ref=REF), polled(status)).actions)
    assert isinstance(end.message, RenderFailed)
    assert (end.message.billed, end.message.cost_usd, end.next_check_at) == (billed, 0.01, None)
    end = the_end(*decide(an_attempt("submitted", ref=REF, cancel=True), polled(status)).actions)
    assert (end.state, end.billed, end.message is None) == ("cancelled", billed, billed == "no")


def test_a_message_of_a_success_names_the_spec_and_the_cost() -> None:
    attempt = an_attempt("submitted", ref=REF)
    [publish] = decide(attempt, polled(DONE)).actions
    assert isinstance(publish, PublishSuccess)
    message = publish.message
    assert isinstance(message, RenderSucceeded)
    assert (message.spec, message.cost_usd, message.at) == (attempt.command.spec, 0.03, START)


@pytest.mark.parametrize(
    ("flags", "allowed", "delivered"),
    [([True], False, False), ([True], True, True), ([True, False], False, True), ([False], False, True)],
)
def test_outputs_fail_if_all_are_flagged_and_unsafe_images_are_not_allowed(
    flags: list[bool], allowed: bool, delivered: bool
) -> None:
    outputs = tuple(OUTPUT.model_copy(update={"nsfw": flag}) for flag in flags)
    attempt = an_attempt("submitted", ref=REF, spec=a_spec(nsfw_allowed=allowed))
    [action] = decide(attempt, polled(Completed(outputs, cost_usd=0.03))).actions
    assert isinstance(action, PublishSuccess) == delivered
    if isinstance(action, End):
        assert isinstance(action.message, RenderFailed)
        assert (action.message.code, action.message.retryable) == ("nsfw", False)
        assert (action.billed, action.cost_usd, action.message.cost_usd) == ("yes", 0.03, 0.03)
