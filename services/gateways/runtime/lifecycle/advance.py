"""Decide the next actions of an attempt from one observation.

The intent is durable before anything is sent. What was sent without a usable answer is resolved by
asking the provider before anything is sent again. No other module ends an attempt.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected, StatusUnavailable
from services.gateways.runtime.lifecycle import polling, resolving, submitting
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import Decision, Release, Resolve
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.observations import (
    Accepted,
    Due,
    EndWritten,
    IntentWritten,
    LookupNotFound,
    LookupUnsupported,
    Observation,
    OwnershipLost,
    Polled,
    Prepared,
    SuccessPublished,
    UnexpectedError,
)


def advance(attempt: Attempt, observation: Observation, limits: ProviderLimits, now: datetime) -> Decision:
    """Return the next actions and the new facts. Pure: each case is one row of a table test."""
    match observation:
        case Due():
            return _due(attempt, observation, now)
        case Prepared():
            return submitting.prepared(attempt, observation, now)
        case IntentWritten():
            return submitting.intent_written(attempt, observation)
        case UnexpectedError(error):
            return submitting.unexpected_error(attempt, error, now)
        case Accepted():
            return submitting.accepted(attempt, observation, limits)
        case Rejected():
            return submitting.rejected(attempt, observation, now)
        case NotAccepted():
            return submitting.not_accepted(attempt, observation, limits, now)
        case OutcomeUnknown():
            return submitting.outcome_unknown(attempt)
        case LookupNotFound():
            return resolving.not_found(attempt, limits, now)
        case LookupUnsupported():
            return resolving.unsupported(attempt, limits, now)
        case Polled(status, lease_remaining):
            return polling.polled(attempt, status, lease_remaining, limits, now)
        case StatusUnavailable():
            return polling.unavailable(attempt, limits, now)
        case SuccessPublished():
            return polling.success_published(attempt, observation)
        case OwnershipLost():
            return Decision(attempt.facts, (Release(),))
        case EndWritten(state):
            return Decision(replace(attempt.facts, state=state), (Release(),))
    assert_never(observation)


def _due(attempt: Attempt, due: Due, now: datetime) -> Decision:
    match attempt.state:
        case "accepted":
            return submitting.begin(attempt, due, now)
        case "submitting" | "unknown":
            return Decision(resolving.unknown(attempt.facts), (Resolve(),))
        case "submitted":
            return polling.follow(attempt)
    return Decision(attempt.facts, (Release(),))
