"""One call, from its claim on the caller's id to its envelope. Runs on the GPU machine."""

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from contracts.modal_app import ModalResult, ModalSubmit
from deploy.modal.failures import failed, is_poison, too_late
from deploy.modal.ids import WorkerTable, claim, progress_key

Job = Callable[[ModalSubmit, "Progress"], ModalResult]
AT_MOST_EVERY: Final = 1.0


class Progress:
    """Tells how far a call is, in percent, and not more often than somebody will look."""

    def __init__(self, table: WorkerTable, call_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._key = progress_key(call_id)
        self._clock = clock
        self._told = float("-inf")

    def __call__(self, percent: float) -> None:
        if self._clock() - self._told < AT_MOST_EVERY:
            return
        self._told = self._clock()
        with contextlib.suppress(Exception):  # a picture is worth more than its progress
            self._table.put(self._key, round(max(0.0, min(99.0, percent)), 1))


def work(
    asked: dict[str, Any],
    call_id: str,
    table: WorkerTable,
    job: Job,
    *,
    stop_taking: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The value that the call returns: a `ModalResult`, or the name of the call that came first.

    Errors become an envelope here, where their classes can be loaded. A cancellation is none of
    them (it is a BaseException) and passes. `stop_taking` ends this process after the call; `ended`
    takes it off the list of those that have not.
    """
    submit = ModalSubmit.model_validate(asked)
    try:
        holder = claim(table, submit.id, call_id)
        if holder != call_id:
            return {"superseded_by": holder}
        if submit.is_late(datetime.now(UTC)) and table.get(progress_key(call_id)) is None:
            return too_late().model_dump(mode="json")
        return _worked(submit, call_id, table, job, stop_taking)
    finally:
        with contextlib.suppress(Exception):  # the list is an aid; a picture is worth more
            ended()


def _worked(
    submit: ModalSubmit, call_id: str, table: WorkerTable, job: Job, stop_taking: Callable[[], None]
) -> dict[str, Any]:
    progress = Progress(table, call_id)
    progress(0)
    started = time.monotonic()
    try:
        result = job(submit, progress)
    except Exception as error:
        result = failed(error)
        if is_poison(error):
            stop_taking()
    seconds = round(time.monotonic() - started, 3)
    return result.model_copy(update={"gpu_seconds": seconds}).model_dump(mode="json")
