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
    """Return the facts of an attempt of which the outcome has to be resolved."""
    return replace(facts, state="unknown")


def overdue(attempt: Attempt, limits: ProviderLimits, now: datetime) -> bool:
    """Return whether the attempt has been late for so many seconds that it must not keep its slot."""
    return now > attempt.command.deadline_at + timedelta(seconds=limits.overdue_after)


def give_up_overdue(attempt: Attempt, now: datetime) -> Decision:
    """End an attempt that its provider does not end; the outcome is asked for later."""
    lost = Failed("lost", "the provider did not end it long after its deadline", False, "unknown")
    return Decision(attempt.facts, (endings.given_up(attempt, lost, now),))


def not_found(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """Submit again, once a request that was still on its way must have arrived."""
    if overdue(attempt, limits, now):
        return give_up_overdue(attempt, now)
    arrived_at = (attempt.submitting_at or now) + timedelta(
        seconds=limits.lease_seconds + limits.submit_timeout
    )
    left = (arrived_at - now).total_seconds()
    if left > 0:
        return Decision(attempt.facts, (after(min(MAX_LOOKUP_INTERVAL, left + LOOKUP_SLACK)),))
    lost = NotAccepted("submission_lost", "sent without an answer, and the provider has none of it")
    return not_accepted(attempt, lost, limits, now)


def unsupported(attempt: Attempt, limits: ProviderLimits, now: datetime) -> Decision:
    """Wait for a webhook during the grace period, then end the attempt with an unknown cost."""
    if overdue(attempt, limits, now):
        return give_up_overdue(attempt, now)
    sent_at = attempt.submitting_at or now
    left = (sent_at + timedelta(seconds=limits.grace_period) - now).total_seconds()
    if left > 0:
        return Decision(attempt.facts, (after(left),))
    message = f"{attempt.command.provider} never reported whether it accepted this; it may have been billed"
    failure = Failed("outcome_unknown", message, limits.resubmit_unknown, "unknown")
    return Decision(attempt.facts, (endings.given_up(attempt, failure, now),))
