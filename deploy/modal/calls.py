"""The ports over Modal itself: function calls, the shared dictionary, the outputs volume."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import modal
from modal import exception as raised
from modal.types import InputStatus
from pydantic import ValidationError

from contracts.modal_app import ModalPending, ModalResult, ModalSubmit
from deploy.modal.failures import failed
from deploy.modal.ids import WorkerTable, progress_key, stop_key
from deploy.modal.ports import (
    Calls,
    Files,
    NotStarted,
    OpenCalls,
    Sight,
    Stopped,
    Superseded,
    Table,
    Unavailable,
)

FAILED_THERE: Final = (
    raised.FunctionTimeoutError,
    raised.InternalFailure,
    raised.RemoteError,
    raised.ExecutionError,
    raised.DeserializationError,
)
"""Modal's own words for a call that ended badly; all its other errors are about asking."""
NO_SUCH_CALL: Final = (raised.OutputExpiredError, raised.NotFoundError, raised.InvalidError)
NO_SUCH_FILE: Final = (FileNotFoundError, raised.NotFoundError, raised.InvalidError)
SURELY_NOT_STARTED: Final = (
    raised.NotFoundError,
    raised.InvalidError,
    raised.AuthError,
    raised.PermissionDeniedError,
    raised.ResourceExhaustedError,
    raised.RequestSizeError,
)


class ModalCalls(Calls):
    """`function_for` names the Modal function that does what was asked."""

    def __init__(
        self,
        table: Table,
        function_for: Callable[[ModalSubmit], Any],
        call_of: Callable[[str], Any] = modal.FunctionCall.from_id,
    ) -> None:
        self._table = table
        self._function_for = function_for
        self._call_of = call_of

    async def start(self, asked: ModalSubmit) -> str:
        """See `Calls`."""
        try:
            call = await self._function_for(asked).spawn.aio(asked.model_dump(mode="json"))
        except SURELY_NOT_STARTED as error:
            raise NotStarted(f"{type(error).__name__}: {error}") from error
        except raised.Error as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return str(call.object_id)

    async def look(self, call_id: str) -> Sight | None:
        """See `Calls`.

        `modal.exception.TimeoutError` is another class than the builtin one: its children say that
        the call ended, the builtin says that it has not.
        """
        try:
            value = await self._call_of(call_id).get.aio(timeout=0)
        except TimeoutError:
            return await self._pending(call_id)
        except raised.InputCancellation:
            return await self._stopped(call_id)
        except NO_SUCH_CALL:
            return await self._stopped(call_id) if await self._was_asked_to_stop(call_id) else None
        except FAILED_THERE as error:
            return await self._stopped(call_id) if await self._was_stopped(call_id, error) else failed(error)
        except raised.Error as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        except Exception as error:  # what a function raised, for instance while its container started
            return failed(error)
        return _read(value)

    async def cancel(self, call_id: str) -> None:
        """See `Calls`."""
        await self._table.put(stop_key(call_id), True)
        with contextlib.suppress(*NO_SUCH_CALL), translated(besides=NO_SUCH_CALL):
            await self._call_of(call_id).cancel.aio()

    async def _pending(self, call_id: str) -> ModalPending:
        progress = await self._table.get(progress_key(call_id))
        if not isinstance(progress, int | float):
            return ModalPending(status="pending")
        return ModalPending(status="running", progress=float(progress))

    async def _stopped(self, call_id: str) -> Stopped:
        """The first that a call does is to tell its progress."""
        return Stopped(started=await self._table.get(progress_key(call_id)) is not None)

    async def _was_asked_to_stop(self, call_id: str) -> bool:
        return await self._table.get(stop_key(call_id)) is not None

    async def _was_stopped(self, call_id: str, error: raised.Error) -> bool:
        """A stopped call has no result and no word of its own: `RemoteError` is all there is."""
        if not isinstance(error, raised.RemoteError):
            return False
        return await self._was_asked_to_stop(call_id) or await self._was_stopped_by_another(call_id)

    async def _was_stopped_by_another(self, call_id: str) -> bool:
        """Somebody used Modal's dashboard. The graph that tells is made on a best-effort basis."""
        try:
            graph = await self._call_of(call_id).get_call_graph.aio()
        except raised.Error:
            return False
        return any(
            node.function_call_id == call_id and node.status == InputStatus.TERMINATED for node in graph
        )


def _read(value: object) -> Sight:
    if isinstance(value, dict) and "superseded_by" in value:
        return Superseded(str(value["superseded_by"]))
    try:
        return ModalResult.model_validate(value)
    except ValidationError as error:
        return failed(error)


class SharedTable(Table):
    """`modal.Dict`: an entry that nobody touches for 7 days is gone, as are results at Modal."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    async def get(self, key: str) -> object | None:
        """See `Table`."""
        with translated():
            value: object | None = await self._entries.get.aio(key)
        return value

    async def put(self, key: str, value: object) -> None:
        """See `Table`."""
        with translated():
            await self._entries.put.aio(key, value)

    async def add(self, key: str, value: object) -> bool:
        """See `Table`."""
        with translated():
            return bool(await self._entries.put.aio(key, value, skip_if_exists=True))


class OpenDict(OpenCalls):
    """A `modal.Dict` with nothing else in it, so that it can be read as a whole."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    async def add(self, call_id: str, our_id: str) -> None:
        """See `OpenCalls`."""
        with translated():
            await self._entries.put.aio(call_id, our_id)

    async def remove(self, call_id: str) -> None:
        """See `OpenCalls`."""
        with translated():
            await self._entries.pop.aio(call_id, None)

    async def all(self) -> dict[str, str]:
        """See `OpenCalls`."""
        with translated():
            return {str(call_id): str(our_id) async for call_id, our_id in self._entries.items.aio()}


class WorkerDict(WorkerTable):
    """The same dictionary, for functions that do not await."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def get(self, key: str) -> object | None:
        value: object | None = self._entries.get(key)
        return value

    def put(self, key: str, value: object) -> None:
        self._entries.put(key, value)

    def add(self, key: str, value: object) -> bool:
        return bool(self._entries.put(key, value, skip_if_exists=True))


class VolumeFiles(Files):
    """Reads through Modal's API, not a mount: what was committed is seen at once, without `reload`."""

    def __init__(self, volume: Any) -> None:
        self._volume = volume

    async def open(self, path: str) -> AsyncIterator[bytes] | None:
        """See `Files`."""
        pieces = aiter(self._volume.read_file.aio(path))
        try:
            with translated(besides=NO_SUCH_FILE):
                first = await anext(pieces)
        except StopAsyncIteration:
            return _and_then(b"", pieces)
        except NO_SUCH_FILE:
            return None
        return _and_then(first, pieces)


async def _and_then(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


@contextlib.contextmanager
def translated(besides: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Modal's errors about asking, in the word of our ports."""
    try:
        yield
    except besides:
        raise
    except raised.Error as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
