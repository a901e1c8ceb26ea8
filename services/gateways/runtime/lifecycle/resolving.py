"""Rules for a submission with an unknown outcome: nothing is sent again before it is resolved."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.gateways.kit.provider import Failed, NotAccepted
from services.gateways.runtime.lifecycle import endings
from services.gateways.runtime.lifecycle.attempt import Attempt, Facts
from services.gateways.runtime.lifecycle.decisions import Decision
from services.gateways.runtime.lifecycle.intervals import after
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.submitting import not_accepted

MAX_LOOKUP_INTERVAL = 2.0
LOOKUP_SLACK = 0.1


def unknown(facts: Facts) -> Facts:
    """Return the facts with the state `unknown`: the outcome of the submission must be resolved."""
    return replace(facts, state="unknown")


def overdue(attempt: Attempt, limits: ProviderLimits, now: datetime) -> bool:
    """Return whether the attempt is too far past its deadline to keep its slot."""
    return now > attempt.command.deadline_at + timedelta(seconds=limits.overdue_after)


def give_up_overdue(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """End an attempt that its provider does not end; its late outcome is looked up afterwards."""
    message = f"the provider had not finished it {limits.overdue_after:g} s after its deadline"
    lost = Failed("lost", message, False, "unknown")
    return Decision(attempt.facts, (endings.given_up(attempt, lost, now),))


def not_found(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """Submit again, once a request that was still on its way must have arrived."""
    if overdue(attempt, limits, now):
        return give_up_overdue(attempt, limits, now)
    arrived_at = (attempt.submitting_at or now) + timedelta(
        seconds=limits.lease_seconds + limits.submit_timeout
    )
    left = (arrived_at - now).total_seconds()
    if left > 0:
        return Decision(attempt.facts, (after(min(MAX_LOOKUP_INTERVAL, left + LOOKUP_SLACK)),))
    lost = NotAccepted(
        "submission_lost", "no response to the submission, and the provider has no such submission"
    )
    return not_accepted(attempt, lost, limits, now)


def unsupported(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """Wait for a webhook during the grace period, then end the attempt with an unknown cost."""
    if overdue(attempt, limits, now):
        return give_up_overdue(attempt, limits, now)
    sent_at = attempt.submitting_at or now
    left = (sent_at + timedelta(seconds=limits.grace_period) - now).total_seconds()
    if left > 0:
        return Decision(attempt.facts, (after(left),))
    message = f"{attempt.command.provider} never reported whether it accepted this; it may have been billed"
    failure = Failed("outcome_unknown", message, limits.resubmit_unknown, "unknown")
    return Decision(attempt.facts, (endings.given_up(attempt, failure, now),))
