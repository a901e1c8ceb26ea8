"""Observations: everything that can happen to an attempt, as input of `advance`.

The exceptions of the provider port are observations as they are.
"""

from dataclasses import dataclass

from contracts.renders import RenderSucceeded
from services.gateways.kit.provider import (
    AttemptStatus,
    Completed,
    NotAccepted,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
    SubmissionRef,
)
from services.gateways.runtime.lifecycle.attempt import State


@dataclass(frozen=True, slots=True)
class Due:
    """The time of the next step has come."""

    admission_delay: float = 0.0
    """Seconds until the provider's circuit and rate admit a submission."""
    circuit_open: bool = False
    circuit_reason: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The request body is ready; nothing was sent."""

    lease_remaining: float


@dataclass(frozen=True, slots=True)
class IntentWritten:
    """The intent is durable; nothing was sent."""

    lease_remaining: float


@dataclass(frozen=True, slots=True)
class UnexpectedError:
    """An error that no rule covers occurred before anything was sent."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the submission: it answered the submission, a lookup, or a webhook."""

    ref: SubmissionRef
    recoverable: bool
    """True if a lookup would return an equivalent ref, so that a crash loses nothing."""


@dataclass(frozen=True, slots=True)
class LookupNotFound:
    """The provider answered a lookup: it has no such submission."""


@dataclass(frozen=True, slots=True)
class LookupUnsupported:
    """The provider has no lookup."""


@dataclass(frozen=True, slots=True)
class Polled:
    """The provider answered a poll."""

    status: AttemptStatus
    lease_remaining: float


@dataclass(frozen=True, slots=True)
class SuccessPublished:
    """The success was offered to the broker, before it is written to the ledger."""

    completed: Completed
    message: RenderSucceeded
    acknowledged: bool
    """False if the broker did not take it in time: the outbox publishes it after the write."""


@dataclass(frozen=True, slots=True)
class OwnershipLost:
    """A guarded write failed: another process owns the attempt."""


@dataclass(frozen=True, slots=True)
class EndWritten:
    """The end is in the ledger, or another process owns the attempt."""

    state: State


Observation = (
    Due
    | Prepared
    | IntentWritten
    | UnexpectedError
    | Accepted
    | Rejected
    | NotAccepted
    | OutcomeUnknown
    | LookupNotFound
    | LookupUnsupported
    | Polled
    | StatusUnavailable
    | SuccessPublished
    | OwnershipLost
    | EndWritten
)
