"""The port to a provider: the operations of an adapter and their outcomes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import NAMESPACE_URL, uuid5

from contracts.base import Provider as ProviderName
from contracts.generation import RenderSpec
from contracts.renders import Billed, Output
from contracts.web_addresses import without_addresses
from services.gateways.kit.dialects import Dialect

SubmissionRef = dict[str, str]
"""The adapter's reference to a submission, kept in the ledger. `id` is the provider's id."""

Payload = dict[str, Any]
"""A request body, ready to be sent."""


def idempotency_key_of(attempt_id: str) -> str:
    """Return the id given to a provider that takes one from us: always the same for an attempt."""
    return str(uuid5(NAMESPACE_URL, f"imagegen:{attempt_id}"))


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt, as input of an adapter."""

    attempt_id: str
    tenant: str
    spec: RenderSpec
    model: str | None
    workflow: dict[str, Any] | None
    deadline_at: datetime

    @property
    def idempotency_key(self) -> str:
        """See `idempotency_key_of`."""
        return idempotency_key_of(self.attempt_id)


@dataclass(frozen=True, slots=True)
class InProgress:
    """The provider has the submission and has not finished it."""

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
    """Actual cost, where the provider reports one."""
    dropped: tuple[Output, ...] = ()
    """Further outputs of the run, which are not delivered."""
    base_model: str | None = None
    """The base model of a trained LoRA."""
    steps: int | None = None
    """The number of training steps that were made."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider tried and failed."""

    code: str
    message: str
    retryable: bool
    billed: Billed = "unknown"
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        """Callers read the message: it names no address of a provider or of our own."""
        object.__setattr__(self, "message", without_addresses(self.message))


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider reports that it does not have a submission it accepted; confirmed before it counts."""

    message: str
    billed: Billed = "unknown"
    code: str = "lost"
    retryable: bool = True
    """False if another attempt would end in the same way."""


AttemptStatus = InProgress | Completed | Failed | NotFound


REJECTED = "the server refused the workflow"
"""Beginning of the message of every `invalid_workflow`, whatever the server's status."""
LOCKED_OUT = frozenset({"provider_unauthorized", "provider_not_deployed"})
"""Codes of rejections that do not depend on the request: every request is rejected."""


class Rejected(Exception):
    """The provider accepted nothing and would reject the same request again.

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
    """The provider accepted nothing now, but may later: it is unreachable, busy or limits our rate."""

    def __init__(self, code: str, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message[:1000]
        self.after_seconds = after_seconds


class OutcomeUnknown(Exception):
    """The request was sent and no usable answer came: the provider may have accepted it.

    `status` is the HTTP status, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StatusUnavailable(Exception):
    """A question about submissions was not answered; ask again later.

    `status` is the HTTP status, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ProgressHint:
    """A provider reported by itself that a submission moved. Without `percent` it is worth a poll."""

    id: str
    """The provider's id of the submission."""
    percent: int | None = None


class Provider(Protocol):
    """An adapter. It knows its wire protocol and nothing else, and keeps no state of attempts."""

    name: ProviderName

    def dialect(self, request: AttemptRequest) -> Dialect:
        """Return the prompt dialect of the model that will run this request."""

    async def prepare(self, request: AttemptRequest) -> Payload:
        """Make the request body; may upload inputs. Costs nothing and may be repeated.

        Raises:
            Rejected: this request cannot be expressed for this provider.
            NotAccepted: inputs cannot be uploaded now.
        """

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        """Send it, once.

        Raises:
            Rejected, NotAccepted, OutcomeUnknown: depending on how certain the outcome is.
        """

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """Return the status of a submission.

        Raises:
            StatusUnavailable: ask again later.
        """

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        """Ask to stop this one submission; `poll` returns how it ended.

        Raises:
            StatusUnavailable: ask again later.
        """


@runtime_checkable
class Lookup(Protocol):
    """Optional capability: the provider can be asked whether it has a submission of ours."""

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        """Return the submission of this request, or None if the provider has none.

        Raises:
            StatusUnavailable: ask again later.
        """

    def is_recoverable(self, ref: SubmissionRef) -> bool:
        """Return whether `find` would return an equivalent ref, so that a crash loses nothing."""


@runtime_checkable
class ListsUnfinished(Protocol):
    """Optional capability: the provider can list its unfinished submissions."""

    async def unfinished(self) -> frozenset[str]:
        """Return the idempotency keys or ids of all submissions that have not ended, ours or not.

        A missing id is a reason to poll, not a status.

        Raises:
            StatusUnavailable: ask again later.
        """


@runtime_checkable
class StreamsProgress(Protocol):
    """Optional capability: the provider reports by itself. A hint is a reason to poll, not a status."""

    def progress_hints(self) -> AsyncGenerator[ProgressHint, None]:
        """Yield hints until the connection is lost.

        Raises:
            StatusUnavailable: there is no connection now; try again later.
        """

    def is_streamed(self, ref: SubmissionRef) -> bool:
        """Return whether the end of this submission would be reported now, so that polls may be rare."""
