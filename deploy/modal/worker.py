"""Lifecycle of one call on the GPU machine, from its claim on the idempotency key to its result."""

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from contracts.modal_app import ModalResult, ModalSubmit
from deploy.modal.failures import deadline_passed, failed, is_fatal
from deploy.modal.ids import WorkerTable, claim, progress_key

Job = Callable[[ModalSubmit, "Progress"], ModalResult]
MIN_INTERVAL: Final = 1.0


class Progress:
    """Reports the progress of a call in percent, at most once per second."""

    def __init__(self, table: WorkerTable, call_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._key = progress_key(call_id)
        self._clock = clock
        self._reported_at = float("-inf")

    def __call__(self, percent: float) -> None:
        if self._clock() - self._reported_at < MIN_INTERVAL:
            return
        self._reported_at = self._clock()
        with contextlib.suppress(Exception):  # progress is optional, the picture is not
            self._table.put(self._key, round(max(0.0, min(99.0, percent)), 1))


def work(
    request: dict[str, Any],
    call_id: str,
    table: WorkerTable,
    job: Job,
    *,
    stop_process: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Run the job and return its `ModalResult`, or the id of the call that this one is superseded by.

    Exceptions become results here, where their classes can be loaded. A cancellation is a BaseException and
    propagates. `stop_process` ends this process after the call; `ended` removes the call from the open calls.
    """
    submit = ModalSubmit.model_validate(request)
    try:
        holder = claim(table, submit.id, call_id)
        if holder != call_id:
            return {"superseded_by": holder}
        if submit.is_late(datetime.now(UTC)) and table.get(progress_key(call_id)) is None:
            return deadline_passed().model_dump(mode="json")
        return _run_job(submit, call_id, table, job, stop_process)
    finally:
        with contextlib.suppress(Exception):  # the index is optional, the result is not
            ended()


def _run_job(
    submit: ModalSubmit, call_id: str, table: WorkerTable, job: Job, stop_process: Callable[[], None]
) -> dict[str, Any]:
    progress = Progress(table, call_id)
    progress(0)
    started = time.monotonic()
    try:
        result = job(submit, progress)
    except Exception as error:
        result = failed(error)
        if is_fatal(error):
            stop_process()
    seconds = round(time.monotonic() - started, 3)
    return result.model_copy(update={"gpu_seconds": seconds}).model_dump(mode="json")
