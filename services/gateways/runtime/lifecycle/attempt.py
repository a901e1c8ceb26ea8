"""One submission of a render to a provider: what the process knows about it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.renders import RenderRequested
from services.gateways.kit.provider import AttemptRequest, Completed, InProgress, SubmissionRef

State = Literal["accepted", "submitting", "unknown", "submitted", "succeeded", "failed", "cancelled"]
"""
accepted    the command is in the ledger; nothing was sent
submitting  the intent is durable; the provider may or may not have received the request
unknown     it was sent without a usable answer; the outcome is resolved before anything is sent again
submitted   the provider has it, under the submission ref
succeeded, failed, cancelled   ended
"""

OPEN: tuple[State, ...] = ("accepted", "submitting", "unknown", "submitted")
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Facts:
    """Results of the observations of an attempt. Only `advance` computes new ones."""

    state: State = "accepted"
    ref: SubmissionRef | None = None
    ref_recoverable: bool = False
    """True if a lookup would return an equivalent ref, so that the ref need not be written at once."""
    intent_unused: bool = False
    """True if the ledger has an intent of this process after which nothing was sent yet."""
    published: Completed | None = None
    """The success, once it was published: later answers of the provider do not change it."""
    submit_tries: int = 0
    unexpected_errors: int = 0
    """Number of unexpected errors before the attempt was sent."""
    poll_interval: float = 0.0
    not_found_since: datetime | None = None
    not_found_count: int = 0
    """Number of consecutive not-found answers."""


@dataclass(slots=True, weakref_slot=True)
class Attempt:
    """An open attempt in memory. `due` is in the event loop's time."""

    command: RenderRequested
    trace: str | None
    owner: str = ""
    """The lease under which it is held: this process's, unless that expired since."""
    facts: Facts = field(default_factory=Facts)
    submitting_at: datetime | None = None
    """Time of the last intent."""
    saved_ref: SubmissionRef | None = None
    """The submission ref in the ledger."""
    cancel: bool = False
    """True once a cancel was requested."""
    last_progress: InProgress | None = None
    busy: bool = False
    poll_requested: bool = False
    """True if a poll was requested since the current step began."""
    due: float = 0.0

    @property
    def id(self) -> str:
        """The attempt id."""
        return self.command.attempt_id

    @property
    def state(self) -> State:
        """See `State`."""
        return self.facts.state

    @property
    def ref(self) -> SubmissionRef | None:
        """The provider's reference of the submission."""
        return self.facts.ref

    @property
    def ref_saved(self) -> bool:
        """True if the ledger has the submission ref."""
        return self.saved_ref == self.facts.ref

    @property
    def request(self) -> AttemptRequest:
        """The input of the adapter."""
        return request_of(self.command)


def request_of(command: RenderRequested) -> AttemptRequest:
    """Return the adapter's input for a command."""
    return AttemptRequest(
        attempt_id=command.attempt_id,
        tenant=command.tenant,
        spec=command.spec,
        model=command.model,
        workflow=command.workflow,
        deadline_at=command.deadline_at,
    )
