"""Mapping of Modal's exceptions: each class of modal 1.6 that `FunctionCall` may raise."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("modal", reason="modal is not installed: pip install -e '.[modal]'")

import modal
from modal import exception as raised
from modal.types import InputStatus

from contracts.modal_app import ModalPending, ModalResult
from deploy.modal.calls import ModalCalls, OpenDict, SharedTable, VolumeFiles
from deploy.modal.ids import progress_key, stop_key
from deploy.modal.ports import NotStarted, Stopped, Superseded, Unavailable
from tests.modal_app.fakes import FakeTable, OutOfMemoryError, request


class Method:
    """A method of Modal's client; only its `.aio` may be used here."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.got: list[Any] = []

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        self.got.append((args, kwargs))
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


class Case:
    """Modal's answers about one call, and our adapter over them."""

    def __init__(self, get: Any = None, graph: Any = (), cancel: Any = None, spawn: Any = None) -> None:
        self.table = FakeTable()
        self.call = SimpleNamespace(get=Method(get), get_call_graph=Method(graph), cancel=Method(cancel))
        self.function = SimpleNamespace(spawn=Method(spawn))
        self.calls = ModalCalls(self.table, lambda _: self.function, lambda _: self.call)


async def test_a_result_is_read_without_waiting() -> None:
    case = Case(ModalResult(status="succeeded", seed=7).model_dump(mode="json"))
    assert await case.calls.status("fc-1") == ModalResult(status="succeeded", seed=7)
    assert case.call.get.got == [((), {"timeout": 0})]


async def test_the_builtin_timeout_means_pending_and_progress_means_running() -> None:
    case = Case(TimeoutError())
    assert await case.calls.status("fc-1") == ModalPending(status="pending")
    case.table.entries[progress_key("fc-1")] = 41.6
    assert await case.calls.status("fc-1") == ModalPending(status="running", progress=41.6)


@pytest.mark.parametrize(
    "error", [raised.OutputExpiredError(), raised.NotFoundError("no call"), raised.InvalidError("no id")]
)
async def test_an_expired_or_unknown_call_has_no_state(error: Exception) -> None:
    assert await Case(error).calls.status("fc-1") is None


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (raised.FunctionTimeoutError("600 s"), "FunctionTimeoutError", True),
        (raised.InternalFailure("worker lost"), "InternalFailure", True),
        (raised.RemoteError("init failure"), "RemoteError", True),
        (raised.ExecutionError("could not deserialize ValueError"), "ExecutionError", False),
        (raised.ExecutionError("could not deserialize torch.OutOfMemoryError"), "ExecutionError", True),
        (raised.DeserializationError("no such class here"), "DeserializationError", False),
        (ValueError("a bad prompt"), "ValueError", False),
        (OSError("a gated repository"), "OSError", False),
        (OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError", True),
    ],
)
async def test_a_call_that_failed_at_modal_is_a_failed_result(
    error: Exception, kind: str, retryable: bool
) -> None:
    result = await Case(error).calls.status("fc-1")
    assert isinstance(result, ModalResult)
    assert result.error is not None
    assert (result.status, result.error.type, result.error.retryable) == ("failed", kind, retryable)
    assert result.error.message == str(error)


def test_modals_timeouts_are_not_the_builtin_one() -> None:
    for kind in (raised.FunctionTimeoutError, raised.OutputExpiredError, raised.TimeoutError):
        assert not issubclass(kind, TimeoutError)
    assert not issubclass(raised.InputCancellation, Exception)


@pytest.mark.parametrize(
    "error",
    [
        raised.ServiceError("away"),
        raised.ConnectionError("away"),
        raised.AuthError("no token"),
        raised.InternalError("away"),
        raised.ResourceExhaustedError("too often"),
        raised.ClientClosed("closing"),
    ],
)
async def test_a_failed_query_leaves_the_state_of_the_call_unknown(error: Exception) -> None:
    with pytest.raises(Unavailable):
        await Case(error).calls.status("fc-1")
    with pytest.raises(Unavailable):
        await Case(cancel=error).calls.cancel("fc-1")


async def test_a_cancelled_call_reports_if_it_had_begun() -> None:
    case = Case(raised.InputCancellation())
    assert await case.calls.status("fc-1") == Stopped(started=False)
    case.table.entries[progress_key("fc-1")] = 0.0
    assert await case.calls.status("fc-1") == Stopped(started=True)


async def test_a_call_cancelled_on_request_is_stopped_and_not_failed() -> None:
    """Modal reports a cancelled call as an empty RemoteError."""
    for error in (raised.RemoteError(""), raised.OutputExpiredError(), raised.InputCancellation()):
        case = Case(error)
        await case.calls.cancel("fc-1")
        assert await case.calls.status("fc-1") == Stopped()
        assert case.call.cancel.got == [((), {})]


async def test_a_call_that_finished_before_the_cancel_came_keeps_its_result() -> None:
    case = Case(ModalResult(status="succeeded").model_dump())
    case.table.entries[stop_key("fc-1")] = True
    assert await case.calls.status("fc-1") == ModalResult(status="succeeded")


@pytest.mark.parametrize("status", list(InputStatus))
async def test_a_call_that_an_operator_cancelled_is_recognised_by_the_call_graph(status: InputStatus) -> None:
    graph = [SimpleNamespace(function_call_id="fc-1", status=status)]
    state = await Case(raised.RemoteError(""), graph).calls.status("fc-1")
    assert isinstance(state, Stopped) is (status is InputStatus.TERMINATED)


async def test_an_unavailable_call_graph_changes_nothing() -> None:
    state = await Case(raised.RemoteError("x"), raised.ServiceError("away")).calls.status("fc-1")
    assert isinstance(state, ModalResult)


async def test_cancelling_a_call_that_modal_forgot_is_no_error() -> None:
    await Case(cancel=raised.NotFoundError("gone")).calls.cancel("fc-1")


async def test_a_superseded_call_names_the_other() -> None:
    assert await Case({"superseded_by": "fc-2"}).calls.status("fc-1") == Superseded("fc-2")


@pytest.mark.parametrize("value", [None, b"bytes", {"status": "done"}])
async def test_a_malformed_value_is_a_failed_result(value: object) -> None:
    result = await Case(value).calls.status("fc-1")
    assert isinstance(result, ModalResult)
    assert result.status == "failed"


async def test_a_call_is_spawned_with_plain_json() -> None:
    case = Case(spawn=SimpleNamespace(object_id="fc-9"))
    assert await case.calls.start(request()) == "fc-9"
    [((value,), _)] = case.function.spawn.got
    assert value == request().model_dump(mode="json")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (raised.ResourceExhaustedError("quota"), NotStarted),
        (raised.NotFoundError("not deployed"), NotStarted),
        (raised.InvalidError("bad"), NotStarted),
        (raised.AuthError("no token"), NotStarted),
        (raised.ServiceError("lost the answer"), Unavailable),
        (raised.ConnectionError("cut"), Unavailable),
    ],
)
async def test_a_failed_spawn_reports_if_a_call_may_exist(error: Exception, reason: type[Exception]) -> None:
    with pytest.raises(reason):
        await Case(spawn=error).calls.start(request())


async def test_the_table_adds_only_absent_keys() -> None:
    entries = SimpleNamespace(put=Method(False), get=Method(3))
    table = SharedTable(entries)
    assert await table.add("key", 1) is False
    assert await table.get("key") == 3
    assert entries.put.got == [(("key", 1), {"skip_if_exists": True})]
    with pytest.raises(Unavailable):
        await SharedTable(SimpleNamespace(get=Method(raised.ServiceError("away")))).get("key")


def test_the_parts_of_modal_that_are_faked_here_exist() -> None:
    for kind, names in (
        (modal.FunctionCall, ("get", "cancel", "get_call_graph")),
        (modal.Dict, ("get", "put")),
        (modal.Volume, ("read_file",)),
        (modal.Function, ("spawn",)),
    ):
        for name in names:
            assert hasattr(getattr(kind, name), "aio"), name


class Volume:
    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces
        self.read_file = SimpleNamespace(aio=self._aio)

    async def _aio(self, path: str) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def test_a_file_is_read_piece_by_piece() -> None:
    for pieces in ((b"a", b"b"), (b"a",), ()):
        open_image = await VolumeFiles(Volume(*pieces)).open("fc-1/0.png")
        assert open_image is not None
        assert b"".join([piece async for piece in open_image]) == b"".join(pieces)


@pytest.mark.parametrize("error", [FileNotFoundError("no"), raised.NotFoundError("no")])
async def test_a_file_that_is_not_on_the_volume_is_none(error: Exception) -> None:
    assert await VolumeFiles(Volume(error)).open("fc-1/0.png") is None


async def test_a_volume_that_does_not_answer_is_not_a_missing_file() -> None:
    with pytest.raises(Unavailable):
        await VolumeFiles(Volume(raised.ServiceError("away"))).open("fc-1/0.png")


class Entries:
    """The methods of a `modal.Dict` that the list of open calls uses."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.put = Method(True)
        self.pop = Method(None)
        self.items = SimpleNamespace(aio=self._items)
        self._pairs = pairs

    async def _items(self) -> AsyncIterator[tuple[str, str]]:
        for pair in self._pairs:
            yield pair


async def test_open_calls_are_put_popped_and_read_as_a_whole() -> None:
    entries = Entries(("fc-1", "attempt-1"), ("fc-2", "attempt-2"))
    open_calls = OpenDict(entries)
    await open_calls.add("fc-1", "attempt-1")
    await open_calls.remove("fc-1")
    assert entries.put.got == [(("fc-1", "attempt-1"), {})]
    assert entries.pop.got == [(("fc-1", None), {})]
    assert await open_calls.all() == {"fc-1": "attempt-1", "fc-2": "attempt-2"}
    with pytest.raises(Unavailable):
        await OpenDict(SimpleNamespace(put=Method(raised.ServiceError("away")))).add("fc-1", "attempt-1")
