"""The port to a provider: what an adapter must be able to do, and what may come of it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import NAMESPACE_URL, uuid5

from contracts.base import Provider as ProviderName
from contracts.generation import RenderSpec
from contracts.renders import Billed, Output
from services.gateways.kit.dialects import Dialect

SubmissionRef = dict[str, str]
"""What an adapter needs to find a submission again; kept in the ledger. `id` is the provider's id."""

Payload = dict[str, Any]
"""A request body, ready to be sent."""


MAX_IN_MEMORY = 40_000
"""See `Pace.most_held`: well above what one provider has in flight."""


def idempotency_key_of(attempt_id: str) -> str:
    """The id that we give to a provider which takes one: always the same for an attempt."""
    return str(uuid5(NAMESPACE_URL, f"imagegen:{attempt_id}"))


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt, as an adapter sees it."""

    attempt_id: str
    tenant: str
    spec: RenderSpec
    model: str | None
    workflow: dict[str, Any] | None
    deadline_at: datetime

    @property
    def idempotency_key(self) -> str:
        """See `our_id_of`."""
        return idempotency_key_of(self.attempt_id)


@dataclass(frozen=True, slots=True)
class InProgress:
    """The provider has it and is not done."""

    state: Literal["queued", "running"]
    percent: int | None = None
    queue_position: int | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The provider has the outputs."""

    outputs: tuple[Output, ...]
    seed: int | None = None
    seconds: float | None = None
    cost_usd: float | None = None
    dropped: tuple[Output, ...] = ()
    """Further outputs of the run, which are not delivered."""
    base_model: str | None = None
    """Of a training: what its LoRA belongs to."""
    steps: int | None = None
    """Of a training: how many were done."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider tried and failed."""

    code: str
    message: str
    retryable: bool
    billed: Billed = "unknown"
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider says that it has none of what it took: believed when it keeps saying so."""

    message: str
    billed: Billed = "unknown"
    code: str = "lost"
    retryable: bool = True
    """False if another attempt would end in the same way."""


AttemptStatus = InProgress | Completed | Failed | NotFound


REJECTED = "the server refused the workflow"
"""How the message of every `invalid_workflow` begins, whatever the server's status."""
LOCKED_OUT = frozenset({"provider_unauthorized", "provider_not_deployed"})
"""Codes of refusals that are not about the request: whatever is sent, it is refused."""


class Rejected(Exception):
    """The provider took nothing and will not: the same request fails again, here.

    `status` is the HTTP status, where there was one.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, status: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message[:1000]
        self.retryable = retryable
        self.status = status


class NotAccepted(Exception):
    """The provider took nothing now, but may later: unreachable, busy or limiting us."""

    def __init__(self, code: str, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message[:1000]
        self.after_seconds = after_seconds


class OutcomeUnknown(Exception):
    """The request left us and no usable answer came: it may have been taken.

    `status` is the HTTP status, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StatusUnavailable(Exception):
    """A question about a submission was not answered; ask again later.

    `status` is the HTTP status, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CannotBeAsked(Exception):
    """This provider cannot be asked whether it took a submission."""


@dataclass(frozen=True, slots=True)
class ProgressHint:
    """A provider said by itself that a submission moved: how far, or that it is worth a look."""

    id: str
    """The provider's id of it."""
    percent: int | None = None


class Provider(Protocol):
    """An adapter. It knows its wire protocol and nothing else; it keeps no state of attempts."""

    name: ProviderName
    can_be_asked: bool
    """Whether `find` has an answer. An intent after which nothing was sent costs little then."""

    def dialect(self, request: AttemptRequest) -> Dialect:
        """What the model reads that will draw this."""

    async def prepare(self, request: AttemptRequest) -> Payload:
        """Make the request body; may upload inputs. Costs nothing and may be repeated.

        Raises:
            Refused: when this order cannot be expressed here.
            NotTaken: when inputs cannot be uploaded now.
        """

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        """Send it, once.

        Raises:
            Refused, NotTaken, OutcomeUnknown: what is sure about it.
        """

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        """The submission of this order, or None where the provider surely has none.

        Raises:
            CannotBeAsked: where it has no such question.
            NoAnswer: ask again later.
        """

    def can_find_again(self, ref: SubmissionRef) -> bool:
        """Whether what `find` gives would do as well, so that this handle is no loss in a crash."""

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """How it stands.

        Raises:
            NoAnswer: ask again later.
        """

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        """Ask to stop this one submission and nothing else; how it ended is for `poll` to say.

        Raises:
            NoAnswer: ask again later.
        """


@runtime_checkable
class ListsUnfinished(Protocol):
    """What an adapter also has whose provider can be asked for all that it has in hand."""

    async def unfinished(self) -> frozenset[str]:
        """The ids under which submissions are there that have not ended, ours (`our_id_of`) or not.

        Worth a look each, and no truth: `poll` is.

        Raises:
            NoAnswer: ask again later.
        """


@runtime_checkable
class StreamsProgress(Protocol):
    """What an adapter also has whose provider speaks by itself. A hint is no truth: `poll` is."""

    def progress_hints(self) -> AsyncGenerator[ProgressHint, None]:
        """Listen for hints, until the connection is lost.

        Raises:
            NoAnswer: there is no connection now, which is found out within ten seconds; try again later.
        """

    def is_streamed(self, ref: SubmissionRef) -> bool:
        """Whether the end of this submission would be heard now, so that polls may be rare."""


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """How a provider is used by one process. Times in seconds."""

    slots: int = 64
    """Submissions in flight at the provider at the most, over all processes."""
    submits_per_second: float | None = None
    """Over all processes; None is no limit."""
    max_in_memory: int = MAX_IN_MEMORY
    """So many attempts one process holds, waiting or sent; more waits on the broker."""
    first_poll_interval: float = 0.01
    max_poll_interval: float = 2.0
    max_poll_interval_streaming: float = 5.0
    polls_per_second: float = 200.0
    """About so many by one process, where the provider's list tells who has ended (`roll_call`)."""
    submit_timeout: float = 20.0
    grace_period: float = 120.0
    """How long an unknown outcome may still show itself where the provider cannot be asked, and for how
    long a provider must say that it has none of what it took."""
    resubmit_unknown: bool = True
    """Whether an outcome that stayed unknown may be tried again, at the risk of paying twice."""
    takeover_patience: float = 10.0
    """Our own lease must have held so long before another process is declared dead."""
    max_submit_tries: int = 4
    max_retry_after: float = 5.0
    """A provider that wants a longer pause than this is left where another can do the work."""
    overdue_after: float = 60.0
    """So long after its deadline an attempt is given up that its provider does not end."""
    reconcile_interval: float = 30.0
    """So often what we have in flight is compared with what the provider has."""
