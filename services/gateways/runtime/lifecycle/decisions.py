"""Decisions of `advance`: a few actions in order, and the facts that hold from now on."""

from dataclasses import dataclass
from datetime import datetime

from contracts.base import Message
from contracts.renders import Billed, RenderSucceeded
from services.gateways.kit.provider import Completed, InProgress
from services.gateways.runtime.lifecycle.attempt import Facts, State


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the request body."""


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """Make the intent durable."""


@dataclass(frozen=True, slots=True)
class Send:
    """Submit to the provider, once."""


@dataclass(frozen=True, slots=True)
class SaveRef:
    """Write the submission ref to the ledger."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Write that the provider has nothing of the last submission."""

    withdraw_intent: bool
    """True if the ledger counts a submission that was not made."""


@dataclass(frozen=True, slots=True)
class RecordUnknown:
    """Write that the outcome of the submission is unknown."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find out whether the provider has the submission."""


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """Ask the provider to stop the submission."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the provider for the status."""


@dataclass(frozen=True, slots=True)
class PublishProgress:
    """Publish the progress, if it is new."""

    status: InProgress


@dataclass(frozen=True, slots=True)
class PublishSuccess:
    """Publish the success before it is written."""

    completed: Completed
    message: RenderSucceeded


@dataclass(frozen=True, slots=True)
class End:
    """Write the end to the ledger with its message in the outbox, then publish the message."""

    state: State
    billed: Billed
    cost_usd: float | None = None
    error: str | None = None
    message: Message | None = None
    next_check_at: datetime | None = None
    """When to ask the provider for the outcome, if it has not reported it yet (`late_outcomes`)."""
    withdraw_intent: bool = False
    """True if the ledger counts a submission that was not made."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Take the next step after a random time between two numbers of seconds."""

    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Release:
    """Forget the attempt: it has ended, or another process owns it."""


@dataclass(frozen=True, slots=True)
class Reraise:
    """Let the scheduler log an unexpected error and repeat the step later."""

    error: Exception


Action = (
    Prepare
    | WriteIntent
    | Send
    | SaveRef
    | Requeue
    | RecordUnknown
    | Resolve
    | RequestCancel
    | Poll
    | PublishProgress
    | PublishSuccess
    | End
    | Wait
    | Release
    | Reraise
)


@dataclass(frozen=True, slots=True)
class Decision:
    """The next actions. Only the last one yields an observation or ends the step."""

    facts: Facts
    actions: tuple[Action, ...]
