"""What the routes need from Modal, and the few things it says back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from contracts.modal_app import ModalPending, ModalResult, ModalSubmit


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call was cancelled; `started`: it had begun to work."""

    started: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """The call gave way to another one that was started for the same id."""

    call_id: str


Sight = ModalPending | ModalResult | Stopped | Superseded


class Unavailable(Exception):
    """Modal did not answer, or we cannot tell yet. Nothing was decided: ask again."""


class NothingStarted(Unavailable):
    """The same, but surely nothing runs for it: a submission may be sent again at once."""


class NotStarted(Exception):
    """Modal surely started nothing, but may later."""


class Calls(Protocol):
    """Function calls at Modal."""

    async def start(self, asked: ModalSubmit) -> str:
        """Start one call and return its id.

        Raises:
            NotStarted: surely nothing runs.
            Unavailable: it may have been started.
        """

    async def look(self, call_id: str) -> Sight | None:
        """How it stands; None where Modal no longer knows it. Raises `Unavailable`."""

    async def cancel(self, call_id: str) -> None:
        """Ask to stop it; how it ended is for `look` to say. Raises `Unavailable`."""


class Ids(Protocol):
    """Which call runs for which of the caller's ids. Every method may raise `Unavailable`."""

    async def submit(self, our_id: str, start: Callable[[], Awaitable[str]]) -> str:
        """The call of this id. `start` is awaited once at most, and not where there is a call already."""

    async def find(self, our_id: str) -> str | None:
        """The call of this id, or None where surely nothing was or will be started by itself."""

    async def knows(self, call_id: str) -> bool:
        """Whether this call is one of ours, so that nobody reads or stops another app's calls."""

    async def hold(self, call_id: str) -> str | None:
        """The call that works for the same id, from now on for certain; None for none of ours.

        Before a call is stopped: otherwise a second call of its id could still begin to work.
        """


class OpenCalls(Protocol):
    """Calls that have not ended, as far as anybody noticed: to look through, never the truth."""

    async def add(self, call_id: str, our_id: str) -> None:
        """Note a call that was started. Raises `Unavailable`."""

    async def remove(self, call_id: str) -> None:
        """It has ended, or Modal does not know it. Raises `Unavailable`."""

    async def all(self) -> dict[str, str]:
        """The caller's id of each, by call id. Raises `Unavailable`."""


class Files(Protocol):
    """Results on the volume."""

    async def open(self, path: str) -> AsyncIterator[bytes] | None:
        """The file's bytes in pieces, or None where there is no such file. Raises `Unavailable`."""


class Table(Protocol):
    """A dictionary that all containers share."""

    async def get(self, key: str) -> object | None:
        """The value, or None."""

    async def put(self, key: str, value: object) -> None:
        """Write it, whatever was there."""

    async def add(self, key: str, value: object) -> bool:
        """Write it where nothing was; tells whether it did. Atomic."""
