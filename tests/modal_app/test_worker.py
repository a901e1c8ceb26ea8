"""One call on the GPU machine: its claim, its progress, and its errors."""

from contextlib import suppress
from typing import Any

import pytest

from contracts.modal_app import ModalResult, ModalSubmit
from deploy.modal.failures import CallFailed
from deploy.modal.ids import progress_key, run_key
from deploy.modal.worker import Job, Progress, work
from tests.modal_app.fakes import FakeWorkerTable, OutOfMemoryError, an_image


def job_that(outcome: BaseException | ModalResult) -> Job:
    def job(request: ModalSubmit, progress: Progress) -> ModalResult:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return job


def worked(outcome: BaseException | ModalResult, **more: Any) -> dict[str, Any]:
    return work(an_image(), "fc-1", FakeWorkerTable(), job_that(outcome), **more)


def test_a_result_includes_its_duration() -> None:
    value = worked(ModalResult(status="succeeded", seed=7))
    assert (value["status"], value["seed"]) == ("succeeded", 7)
    assert value["gpu_seconds"] >= 0


def test_the_second_call_of_an_id_names_the_first_and_does_nothing() -> None:
    table = FakeWorkerTable()
    work(an_image(), "fc-1", table, job_that(ModalResult(status="succeeded")))
    value = work(an_image(), "fc-2", table, job_that(AssertionError("it worked")))
    assert value == {"superseded_by": "fc-1"}


def test_the_same_call_on_another_machine_works_again() -> None:
    """Modal may take a machine away and run the same call on another."""
    table = FakeWorkerTable({run_key("attempt-1"): "fc-1"})
    value = work(an_image(), "fc-1", table, job_that(ModalResult(status="succeeded")))
    assert value["status"] == "succeeded"


class LinkExpired(CallFailed):
    retryable = False


class HostIsDown(CallFailed):
    retryable = True


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (ValueError("bad"), False),
        (OutOfMemoryError("CUDA out of memory"), True),
        (LinkExpired("403"), False),
        (HostIsDown("502"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (MemoryError(), False),
    ],
)
def test_an_error_becomes_a_failed_result(error: Exception, retryable: bool) -> None:
    value = worked(error)
    assert value["status"] == "failed"
    assert value["error"]["type"] == type(error).__name__
    assert value["error"]["retryable"] is retryable
    assert value["error"]["message"]


def test_a_long_message_is_cut() -> None:
    assert len(worked(ValueError("x" * 10_000))["error"]["message"]) == 1000


@pytest.mark.parametrize("outcome", [ModalResult(status="succeeded"), ValueError("bad"), KeyboardInterrupt()])
def test_every_ended_call_is_removed_from_the_index(outcome: BaseException | ModalResult) -> None:
    ends: list[str] = []
    with suppress(KeyboardInterrupt):
        worked(outcome, ended=lambda: ends.append("fc-1"))
    assert ends == ["fc-1"]


def test_an_unavailable_index_does_not_fail_a_call() -> None:
    def away() -> None:
        raise OSError("away")

    assert worked(ModalResult(status="succeeded"), ended=away)["status"] == "succeeded"


def test_a_process_whose_gpu_is_lost_accepts_no_more_calls() -> None:
    stops: list[str] = []
    worked(RuntimeError("CUDA error: device-side assert triggered"), stop_process=lambda: stops.append("x"))
    assert stops == ["x"]
    worked(ValueError("bad"), stop_process=lambda: stops.append("y"))
    assert stops == ["x"]


class InputCancellation(BaseException):
    """Stand-in for Modal's own class, which is no `Exception` either."""


@pytest.mark.parametrize("ending", [InputCancellation("cancelled"), KeyboardInterrupt()])
def test_a_cancellation_is_no_failure(ending: BaseException) -> None:
    with pytest.raises(type(ending)):
        worked(ending)


def test_progress_is_reported_at_most_once_a_second_and_never_fails_a_call() -> None:
    times = iter([0.0, 0.0, 0.5, 1.2, 1.2])
    table = FakeWorkerTable()
    progress = Progress(table, "fc-1", lambda: next(times))
    for percent in (10, 20, 130):
        progress(percent)
    assert table.entries == {progress_key("fc-1"): 99.0}

    class Broken(FakeWorkerTable):
        def put(self, key: str, value: object) -> None:
            raise ConnectionError

    Progress(Broken(), "fc-1")(50)
