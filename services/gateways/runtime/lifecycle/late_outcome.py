"""Rules for an outcome that the provider reports after the gateway has ended the attempt.

The state of the attempt stays as it is: a late result is billed and not delivered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.renders import Billed
from services.gateways.kit.provider import (
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    NotFound,
    StatusUnavailable,
)
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.endings import FIRST_CHECK, Outcome
from services.gateways.runtime.lifecycle.observations import LookupNotFound, LookupUnsupported

MAX_CHECKS = 9
"""Number of checks after the first. Their intervals double, for about an hour and a half in total."""
NOT_FOUND_CHECKS = 4
"""Number of not-found lookups after which an attempt was certainly never accepted."""

LateObservation = AttemptStatus | LookupNotFound | LookupUnsupported | StatusUnavailable


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """The outcome is still open; unless this was the last check, the next one is scheduled."""

    not_found: bool = False
    """True if the provider answered a lookup that it has no such submission."""


@dataclass(frozen=True, slots=True)
class StopOrphan:
    """The submission still runs although nobody waits for it: cancel it."""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Enter the outcome and its cost, once."""

    outcome: Outcome
    billed: Billed
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """No further check would change what the ledger has."""


LateDecision = CheckAgain | StopOrphan | RecordOutcome | Forget


def late_outcome(attempt: Attempt, observation: LateObservation, not_found_checks: int) -> LateDecision:
    """Decide about one check of an ended attempt; `not_found_checks` counts the earlier not-found lookups."""
    match observation:
        case StatusUnavailable() | NotFound():
            return CheckAgain()
        case LookupNotFound() if not_found_checks + 1 < NOT_FOUND_CHECKS:
            return CheckAgain(not_found=True)
        case LookupNotFound():
            return RecordOutcome("cancelled" if attempt.state == "cancelled" else "failed", "no")
        case LookupUnsupported():
            return Forget()
        case InProgress():
            return StopOrphan()
        case Completed() if attempt.state != "succeeded":
            return RecordOutcome("succeeded", "yes", observation.cost_usd)
        case Failed() if attempt.state != "succeeded" and observation.billed != "unknown":
            return RecordOutcome(_failed(attempt, observation), observation.billed, observation.cost_usd)
    return Forget()


def _failed(attempt: Attempt, status: Failed) -> Outcome:
    return "cancelled" if status.code == "cancelled" or attempt.state == "cancelled" else "failed"


def next_check(checks: int, time: datetime) -> datetime | None:
    """Return when to ask again after a number of checks, or None after the last one."""
    if checks >= MAX_CHECKS:
        return None
    interval: timedelta = FIRST_CHECK * 2**checks
    return time + interval
