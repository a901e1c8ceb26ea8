"""Adapters of the ports to Modal: function calls, the shared dictionary, the outputs volume."""

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
    CallState,
    Files,
    NotStarted,
    OpenCalls,
    Stopped,
    Superseded,
    Table,
    Unavailable,
)

CALL_FAILED: Final = (
    raised.FunctionTimeoutError,
    raised.InternalFailure,
    raised.RemoteError,
    raised.ExecutionError,
    raised.DeserializationError,
)
"""Errors of a call that failed at Modal; all other Modal errors concern the query itself."""
NO_SUCH_CALL: Final = (raised.OutputExpiredError, raised.NotFoundError, raised.InvalidError)
NO_SUCH_FILE: Final = (FileNotFoundError, raised.NotFoundError, raised.InvalidError)
NEVER_STARTED: Final = (
    raised.NotFoundError,
    raised.InvalidError,
    raised.AuthError,
    raised.PermissionDeniedError,
    raised.ResourceExhaustedError,
    raised.RequestSizeError,
)


class ModalCalls(Calls):
    """Modal function calls. `function_for` returns the Modal function for a request."""

    def __init__(
        self,
        table: Table,
        function_for: Callable[[ModalSubmit], Any],
        call_of: Callable[[str], Any] = modal.FunctionCall.from_id,
    ) -> None:
        self._table = table
        self._function_for = function_for
        self._call_of = call_of

    async def start(self, request: ModalSubmit) -> str:
        """Implement `Calls.start`."""
        try:
            call = await self._function_for(request).spawn.aio(request.model_dump(mode="json"))
        except NEVER_STARTED as error:
            raise NotStarted(f"{type(error).__name__}: {error}") from error
        except raised.Error as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return str(call.object_id)

    async def status(self, call_id: str) -> CallState | None:
        """Implement `Calls.status`.

        Subclasses of `modal.exception.TimeoutError` mean that the call ended; the builtin `TimeoutError`,
        which is
        another class, means that it has not.
        """
        try:
            value = await self._call_of(call_id).get.aio(timeout=0)
        except TimeoutError:
            return await self._pending(call_id)
        except raised.InputCancellation:
            return await self._stopped(call_id)
        except NO_SUCH_CALL:
            return await self._stopped(call_id) if await self._cancel_was_requested(call_id) else None
        except CALL_FAILED as error:
            return (
                await self._stopped(call_id) if await self._was_cancelled(call_id, error) else failed(error)
            )
        except raised.Error as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        except Exception as error:  # raised by the function, for instance during container start-up
            return failed(error)
        return _read(value)

    async def cancel(self, call_id: str) -> None:
        """Implement `Calls.cancel`."""
        await self._table.put(stop_key(call_id), True)
        with contextlib.suppress(*NO_SUCH_CALL), errors_as_unavailable(besides=NO_SUCH_CALL):
            await self._call_of(call_id).cancel.aio()

    async def _pending(self, call_id: str) -> ModalPending:
        progress = await self._table.get(progress_key(call_id))
        if not isinstance(progress, int | float):
            return ModalPending(status="pending")
        return ModalPending(status="running", progress=float(progress))

    async def _stopped(self, call_id: str) -> Stopped:
        """Return whether the stopped call had begun. A call writes its progress before anything else."""
        return Stopped(started=await self._table.get(progress_key(call_id)) is not None)

    async def _cancel_was_requested(self, call_id: str) -> bool:
        return await self._table.get(stop_key(call_id)) is not None

    async def _was_cancelled(self, call_id: str, error: raised.Error) -> bool:
        """Return True if the error means a cancellation. Modal reports a cancelled call as a bare
        `RemoteError`."""
        if not isinstance(error, raised.RemoteError):
            return False
        return await self._cancel_was_requested(call_id) or await self._was_cancelled_by_operator(call_id)

    async def _was_cancelled_by_operator(self, call_id: str) -> bool:
        """Return True if the call was cancelled in Modal's dashboard. The call graph is best effort."""
        try:
            graph = await self._call_of(call_id).get_call_graph.aio()
        except raised.Error:
            return False
        return any(
            node.function_call_id == call_id and node.status == InputStatus.TERMINATED for node in graph
        )


def _read(value: object) -> CallState:
    if isinstance(value, dict) and "superseded_by" in value:
        return Superseded(str(value["superseded_by"]))
    try:
        return ModalResult.model_validate(value)
    except ValidationError as error:
        return failed(error)


class SharedTable(Table):
    """A `modal.Dict`. Modal deletes entries that were not used for 7 days, and results as well."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    async def get(self, key: str) -> object | None:
        """Implement `Table.get`."""
        with errors_as_unavailable():
            value: object | None = await self._entries.get.aio(key)
        return value

    async def put(self, key: str, value: object) -> None:
        """Implement `Table.put`."""
        with errors_as_unavailable():
            await self._entries.put.aio(key, value)

    async def add(self, key: str, value: object) -> bool:
        """Implement `Table.add`."""
        with errors_as_unavailable():
            return bool(await self._entries.put.aio(key, value, skip_if_exists=True))


class OpenDict(OpenCalls):
    """A separate `modal.Dict` of open calls only, small enough to be read as a whole."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    async def add(self, call_id: str, idempotency_key: str) -> None:
        """Implement `OpenCalls.add`."""
        with errors_as_unavailable():
            await self._entries.put.aio(call_id, idempotency_key)

    async def remove(self, call_id: str) -> None:
        """Implement `OpenCalls.remove`."""
        with errors_as_unavailable():
            await self._entries.pop.aio(call_id, None)

    async def all(self) -> dict[str, str]:
        """Implement `OpenCalls.all`."""
        with errors_as_unavailable():
            return {
                str(call_id): str(idempotency_key)
                async for call_id, idempotency_key in self._entries.items.aio()
            }


class WorkerDict(WorkerTable):
    """Synchronous access to the same dictionary."""

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
    """Reads through Modal's API, not a mount: committed files are visible at once, without `reload`."""

    def __init__(self, volume: Any) -> None:
        self._volume = volume

    async def open(self, path: str) -> AsyncIterator[bytes] | None:
        """Implement `Files.open`."""
        pieces = aiter(self._volume.read_file.aio(path))
        try:
            with errors_as_unavailable(besides=NO_SUCH_FILE):
                first = await anext(pieces)
        except StopAsyncIteration:
            return _prepend(b"", pieces)
        except NO_SUCH_FILE:
            return None
        return _prepend(first, pieces)


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


@contextlib.contextmanager
def errors_as_unavailable(besides: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise Modal's errors as `Unavailable`, except the classes in `besides`."""
    try:
        yield
    except besides:
        raise
    except raised.Error as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
