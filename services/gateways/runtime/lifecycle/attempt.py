"""One submission of a render as this process holds it, and as the ledger keeps it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contracts.renders import RenderRequested
from services.gateways.kit.provider import AttemptRequest, Completed, InProgress, SubmissionRef

State = Literal["accepted", "submitting", "unknown", "submitted", "succeeded", "failed", "cancelled"]
"""
accepted    taken from Kafka; nothing was sent
submitting  the intent is durable; the provider may or may not have it
unknown     it was sent and no usable answer came: settled by asking, before anything is sent again
submitted   the provider has it, under the handle
succeeded, failed, cancelled   the end
"""

OPEN: tuple[State, ...] = ("accepted", "submitting", "unknown", "submitted")
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


@dataclass(slots=True, weakref_slot=True)
class Attempt:
    """An open attempt in memory. Times are of the event loop's clock where they say `due`."""

    command: RenderRequested
    trace: str | None
    owner: str = ""
    """Under whose lease it is held: this process's, unless that was declared dead since."""
    state: State = "accepted"
    ref: SubmissionRef | None = None
    submitting_at: datetime | None = None
    intended: bool = False
    """Whether the ledger has an intent of ours after which nothing was sent yet."""
    cancel: bool = False
    tries: int = 0
    errors: int = 0
    """What nobody foresaw, before it was sent."""
    pause: float = 0.0
    told: InProgress | None = None
    not_found_since: datetime | None = None
    """Since when the provider says that it has none of it."""
    not_found_count: int = 0
    busy: bool = False
    poll_requested: bool = False
    """Something was heard of it since its step began."""
    saved: bool = True
    """Whether the ledger knows the handle."""
    done: Completed | None = None
    """Its success, once that is said: whatever the provider says after it, it is this."""
    due: float = 0.0

    @property
    def id(self) -> str:
        """The attempt id."""
        return self.command.attempt_id

    @property
    def request(self) -> AttemptRequest:
        """What the adapter needs."""
        return request_of(self.command)


def request_of(command: RenderRequested) -> AttemptRequest:
    """A command, as an adapter sees it."""
    return AttemptRequest(
        attempt_id=command.attempt_id,
        tenant=command.tenant,
        spec=command.spec,
        model=command.model,
        workflow=command.workflow,
        deadline_at=command.deadline_at,
    )


def attempt_of(document: dict[str, Any]) -> Attempt:
    """An attempt as the ledger keeps it.

    One that was being submitted has an unknown outcome, but what has a handle was taken.
    """
    state, ref = document["state"], document.get("submission_ref")
    if state == "submitting":
        state = "unknown"
    if state in OPEN and ref:
        state = "submitted"
    return Attempt(
        command=RenderRequested.model_validate(document["command"]),
        trace=document.get("trace"),
        owner=document.get("owner", ""),
        state=state,
        ref=ref,
        submitting_at=document.get("submitting_at"),
        cancel=document.get("cancel", False),
    )
