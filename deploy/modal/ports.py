"""Ports of the routes to Modal, and the states of a call."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from contracts.modal_app import ModalPending, ModalResult, ModalSubmit


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call was cancelled; `started` is True if it had begun to work."""

    started: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """The call ended in favour of an earlier one for the same idempotency key."""

    call_id: str


CallState = ModalPending | ModalResult | Stopped | Superseded


class Unavailable(Exception):
    """Modal did not answer, or the answer is not known yet. Nothing changed; the caller may retry."""


class NothingStarted(Unavailable):
    """As `Unavailable`, but certainly no call runs: the submission may be sent again at once."""


class NotStarted(Exception):
    """Modal certainly started no call now, but may accept one later."""


class Calls(Protocol):
    """Function calls at Modal."""

    async def start(self, request: ModalSubmit) -> str:
        """Start one call and return its id.

        Raises:
            NotStarted: certainly no call runs.
            Unavailable: a call may have been started.
        """

    async def status(self, call_id: str) -> CallState | None:
        """Return the state of a call, or None if Modal no longer has it. Raise `Unavailable` without an
        answer."""

    async def cancel(self, call_id: str) -> None:
        """Request cancellation; `status` reports the outcome. Raise `Unavailable` without an answer."""


class Ids(Protocol):
    """The call of each idempotency key. Every method may raise `Unavailable`."""

    async def submit(self, idempotency_key: str, start: Callable[[], Awaitable[str]]) -> str:
        """Return the call of this key. `start` is awaited at most once, and not if a call exists."""

    async def find(self, idempotency_key: str) -> str | None:
        """Return the call of this key, or None if certainly no call was or will be started for it."""

    async def is_known(self, call_id: str) -> bool:
        """Return True if this application started the call. Calls of other applications are never read or
        stopped."""

    async def pin(self, call_id: str) -> str | None:
        """Fix the call that may work for the same key and return it; None for a call of another application.

        This precedes a cancellation: otherwise a second call of the key could still begin to work.
        """


class OpenCalls(Protocol):
    """Index of the calls that may not have ended yet. It may be stale and is never the truth."""

    async def add(self, call_id: str, idempotency_key: str) -> None:
        """Add a started call. Raise `Unavailable` without an answer."""

    async def remove(self, call_id: str) -> None:
        """Remove a call that ended or is unknown to Modal. Raise `Unavailable` without an answer."""

    async def all(self) -> dict[str, str]:
        """Return the idempotency key of each call, by call id. Raise `Unavailable` without an answer."""


class Files(Protocol):
    """Result files on the volume."""

    async def open(self, path: str) -> AsyncIterator[bytes] | None:
        """Return the file's bytes in pieces, or None if there is no such file. Raise `Unavailable` without an
        answer."""


class Table(Protocol):
    """A dictionary that all containers share."""

    async def get(self, key: str) -> object | None:
        """Return the value, or None."""

    async def put(self, key: str, value: object) -> None:
        """Write the value, overwriting any other."""

    async def add(self, key: str, value: object) -> bool:
        """Write the value if the key is absent, atomically; return True if it was written."""
