"""Rules for a submission that the provider has: poll, cancel, confirm not-found, end."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.gateways.kit.provider import AttemptStatus, Completed, Failed, InProgress, NotFound
from services.gateways.runtime.lifecycle import endings
from services.gateways.runtime.lifecycle.attempt import Attempt, Facts
from services.gateways.runtime.lifecycle.decisions import (
    Action,
    Decision,
    Poll,
    PublishProgress,
    RequestCancel,
    SaveRef,
)
from services.gateways.runtime.lifecycle.intervals import after, jittered, next_interval
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.observations import SuccessPublished
from services.gateways.runtime.lifecycle.resolving import give_up_overdue, overdue
from services.gateways.runtime.lifecycle.submitting import LEASE_MARGIN, LEASE_RETRY

NOT_FOUND_ANSWERS = 4
"""Number of consecutive not-found answers, spread over the grace period, before an attempt counts as lost."""


def follow(attempt: Attempt) -> Decision:
    """Poll, after the writes and the cancel request that are still to be made."""
    facts = attempt.facts
    if facts.published is not None:
        return Decision(facts, (endings.succeeded(facts.published, None),))
    actions: list[Action] = []
    if not attempt.ref_saved and not facts.ref_recoverable:
        actions.append(SaveRef())
    if attempt.cancel:
        actions.append(RequestCancel())
    return Decision(facts, (*actions, Poll()))


def polled(
    attempt: Attempt, status: AttemptStatus, lease_remaining: float, limits: ProviderLimits, now: datetime
) -> Decision:
    """Act on the status that the provider reported."""
    match status:
        case InProgress():
            return _in_progress(attempt, status, limits, now)
        case NotFound():
            return _not_found(attempt, status, limits, now)
        case Failed():
            return Decision(attempt.facts, (endings.failed(attempt, status, now),))
        case Completed() if lease_remaining <= LEASE_MARGIN:
            return Decision(attempt.facts, (after(LEASE_RETRY),))
        case Completed():
            return Decision(attempt.facts, (endings.completed(attempt, status, now),))


def unavailable(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """The provider did not answer a poll or a lookup: ask again later, and not forever."""
    if overdue(attempt, limits, now):
        return give_up_overdue(attempt, limits, now)
    facts = _slower(attempt.facts, limits)
    return Decision(facts, (jittered(facts.poll_interval),))


def success_published(attempt: Attempt, observation: SuccessPublished) -> Decision:
    """Write the success. One that the broker acknowledged is final, whatever the provider reports later."""
    completed = observation.completed
    if observation.acknowledged:
        facts = replace(attempt.facts, published=completed)
        return Decision(facts, (endings.succeeded(completed, None),))
    return Decision(attempt.facts, (endings.succeeded(completed, observation.message),))


def _in_progress(attempt: Attempt, status: InProgress, limits: ProviderLimits, now: datetime) -> Decision:
    if overdue(attempt, limits, now):
        end = give_up_overdue(attempt, limits, now)
        return replace(end, actions=(RequestCancel(), *end.actions))
    facts = replace(_slower(attempt.facts, limits), not_found_since=None, not_found_count=0)
    interval = facts.poll_interval if attempt.cancel else max(facts.poll_interval, limits.min_poll_interval)
    save = () if attempt.ref_saved else (SaveRef(),)
    return Decision(facts, (*save, PublishProgress(status), jittered(interval)))


def _not_found(attempt: Attempt, status: NotFound, limits: ProviderLimits, now: datetime) -> Decision:
    """Confirm not-found before a resubmission; a cancelled attempt is not submitted again anyway."""
    since = attempt.facts.not_found_since or now
    count = attempt.facts.not_found_count + 1
    facts = replace(attempt.facts, not_found_since=since, not_found_count=count)
    confirmed = count >= NOT_FOUND_ANSWERS and now >= since + timedelta(seconds=limits.grace_period)
    if not (confirmed or attempt.cancel or overdue(attempt, limits, now)):
        return Decision(facts, (after(limits.grace_period / (NOT_FOUND_ANSWERS - 1)),))
    retryable = status.retryable and limits.resubmit_unknown
    lost = Failed(status.code, status.message, retryable, status.billed)
    return Decision(facts, (endings.given_up(attempt, lost, now),))


def _slower(facts: Facts, limits: ProviderLimits) -> Facts:
    interval = next_interval(facts.poll_interval, limits.first_poll_interval, limits.max_poll_interval)
    return replace(facts, poll_interval=interval)
