"""Rules from the command to the provider's answer: admission, intent, submission."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.gateways.kit.provider import Failed, NotAccepted, Rejected
from services.gateways.runtime.lifecycle import endings
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import (
    Decision,
    Prepare,
    RecordUnknown,
    Requeue,
    Reraise,
    SaveRef,
    Send,
    WriteIntent,
)
from services.gateways.runtime.lifecycle.intervals import after, backoff
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.observations import Accepted, Due, IntentWritten, Prepared

LEASE_MARGIN = 1.0
"""Seconds of the lease that must remain before something is sent or published."""
LEASE_RETRY = 1.0
INTENT_MAX_AGE = timedelta(seconds=2)
"""Age up to which an intent counts for a submission: a successor waits from the time of the intent on."""
MAX_UNEXPECTED_ERRORS = 3
"""Number of unexpected errors before the submission after which an attempt fails."""
UNKNOWN_RETRY = 0.5
DEADLINE_SLACK = 0.1
"""Seconds after its deadline when a waiting attempt is looked at again."""


def begin(attempt: Attempt, due: Due, now: datetime) -> Decision:
    """Submit, unless the attempt is cancelled or late, or the provider admits nothing now."""
    if attempt.cancel:
        return Decision(attempt.facts, (endings.cancelled_before_sending(attempt),))
    if attempt.command.deadline_at <= now:
        return _fail(attempt, now, "deadline_exceeded", "the deadline passed before it was sent")
    if due.admission_delay <= 0:
        return Decision(attempt.facts, (Prepare(),))
    if due.circuit_open and attempt.command.alternatives:
        reason = f"circuit open: {due.circuit_reason}"
        return _fail(attempt, now, "provider_unreachable", reason, retryable=True)
    return Decision(attempt.facts, (after(due.admission_delay),))


def prepared(attempt: Attempt, observation: Prepared, now: datetime) -> Decision:
    """Write the intent, unless the one that came with the command is young enough."""
    if observation.lease_remaining <= LEASE_MARGIN:
        return Decision(attempt.facts, (after(LEASE_RETRY),))
    if _has_young_intent(attempt, now):
        return Decision(replace(attempt.facts, state="submitting", intent_unused=False), (Send(),))
    return Decision(replace(attempt.facts, intent_unused=False), (WriteIntent(),))


def _has_young_intent(attempt: Attempt, now: datetime) -> bool:
    at = attempt.submitting_at
    return attempt.facts.intent_unused and at is not None and now < at + INTENT_MAX_AGE


def intent_written(attempt: Attempt, observation: IntentWritten) -> Decision:
    """Send while no successor can own the attempt; else nothing was sent and the intent is repeated."""
    if observation.lease_remaining <= LEASE_MARGIN:
        return Decision(attempt.facts, (after(LEASE_RETRY),))
    return Decision(replace(attempt.facts, state="submitting"), (Send(),))


def unexpected_error(attempt: Attempt, error: Exception, now: datetime) -> Decision:
    """Report an error before the submission each time, and fail the attempt when it is repeated."""
    count = attempt.facts.unexpected_errors + 1
    facts = replace(attempt.facts, unexpected_errors=count)
    if count < MAX_UNEXPECTED_ERRORS:
        return Decision(facts, (Reraise(error),))
    reason = f"{type(error).__name__} before it was sent; see the log of the gateway"
    return replace(_fail(attempt, now, "internal_error", reason, retryable=True), facts=facts)


def accepted(attempt: Attempt, observation: Accepted, limits: ProviderLimits) -> Decision:
    """Poll soon. The ref is written at once, unless a lookup would return it after a crash."""
    facts = replace(
        attempt.facts,
        state="submitted",
        ref=observation.ref,
        ref_recoverable=observation.recoverable,
        poll_interval=limits.first_poll_interval,
    )
    wait = after(limits.first_poll_interval)
    return Decision(facts, (wait,) if observation.recoverable else (SaveRef(), wait))


def rejected(attempt: Attempt, rejection: Rejected, now: datetime) -> Decision:
    """The provider has nothing and the same request would be rejected again."""
    return _fail(attempt, now, rejection.code, rejection.message, retryable=rejection.retryable)


def not_accepted(attempt: Attempt, refusal: NotAccepted, limits: ProviderLimits, now: datetime) -> Decision:
    """The provider has nothing: submit again after a pause, or let an alternative provider do it."""
    tries = attempt.facts.submit_tries + 1
    facts = replace(attempt.facts, state="accepted", submit_tries=tries)
    pause = refusal.after_seconds or 0.0
    too_long = pause > limits.max_retry_after and bool(attempt.command.alternatives)
    if tries >= limits.max_submit_tries or too_long:
        return replace(_fail(attempt, now, refusal.code, refusal.message, retryable=True), facts=facts)
    left = max(0.0, (attempt.command.deadline_at - now).total_seconds())
    wait = backoff(tries, at_least=pause, at_most=left + DEADLINE_SLACK)
    requeue = Requeue(withdraw_intent=facts.intent_unused)
    return Decision(replace(facts, intent_unused=False), (requeue, wait))


def outcome_unknown(attempt: Attempt) -> Decision:
    """The request was sent and no usable answer came: resolve it before anything is sent again."""
    facts = replace(attempt.facts, state="unknown")
    return Decision(facts, (RecordUnknown(), after(UNKNOWN_RETRY)))


def _fail(attempt: Attempt, now: datetime, code: str, message: str, *, retryable: bool = False) -> Decision:
    failure = Failed(code, message, retryable, "no")
    return Decision(attempt.facts, (endings.failed(attempt, failure, now),))
