"""At the end of a job every image is done, or has failed with a reason of its own."""

from typing import Any

import pytest

from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from tests.fakes.builders import a_cancel, a_plan, a_spec, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.job_harness import JobHarness

DUE = due(after(300))


def accounted(harness: JobHarness) -> list[JobEvent]:
    """Check that no image is open or missing, and that failures were published before the end."""
    job = harness.job
    assert job.terminal
    assert {render.state for render in job.renders} <= {"done", "failed"}
    assert (job.delivered + job.failed, len(job.renders)) == (job.requested, job.requested)
    assert job.failed == sum(render.state == "failed" for render in job.renders)
    assert all(render.error for render in job.renders if render.state == "failed")
    assert not any(render.retry_at for render in job.renders)
    events = harness.only(JobEvent)
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert events[-1].event in ("completed", "failed")
    assert events[-1].failed == job.failed
    return [event for event in events if event.event == "image_failed"]


def why(events: list[JobEvent]) -> list[tuple[int, str]]:
    """Return the failed images with the codes of their reasons."""
    return [(e.image.index, e.image.error.code) for e in events if e.image and e.image.error]


def test_images_not_ready_by_the_deadline_of_a_completed_job_have_failed() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), stored(2), progressed(1)).at(300).receive(DUE)
    assert why(accounted(harness)) == [(1, "deadline_exceeded"), (3, "deadline_exceeded")]
    assert (harness.job.status, harness.job.delivered, harness.job.failed) == ("completed", 2, 2)


def test_images_not_ready_by_the_deadline_of_a_failed_job_fail_with_it() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), refused(1)).at(300).receive(DUE)
    assert why(accounted(harness)) == [(2, "deadline_exceeded"), (3, "deadline_exceeded")]
    assert harness.job.renders[1].error is not None
    assert harness.job.renders[1].error.code == "nsfw", "what failed before keeps its own reason"


@pytest.mark.parametrize("meanwhile", [[], [progressed()], [failed()], [progressed(state="storing")]])
def test_a_cancelled_job_gives_each_open_image_that_reason(meanwhile: list[Any]) -> None:
    harness = JobHarness(a_plan(images=2), stored(1), *meanwhile).receive(a_cancel())
    assert why(accounted(harness)) == [(0, "cancelled")]
    assert harness.event("failed").failed == 1


def test_a_job_cancelled_before_its_plan_counts_every_image() -> None:
    harness = JobHarness(a_cancel()).receive(a_plan(images=3))
    assert why(accounted(harness)) == [(index, "cancelled") for index in range(3)]


def test_a_job_without_a_provider_counts_every_image() -> None:
    harness = JobHarness(a_plan(renders=(a_spec(0), a_spec(1)), provider="fal", workflow={"3": {}}))
    assert why(accounted(harness)) == [(0, "no_provider"), (1, "no_provider")]


def test_a_job_whose_plan_came_too_late_counts_every_image() -> None:
    harness = JobHarness().at(300).receive(a_plan(images=2))
    assert why(accounted(harness)) == [(0, "deadline_exceeded"), (1, "deadline_exceeded")]


def test_a_job_that_settled_by_itself_counts_no_image_twice() -> None:
    harness = JobHarness(a_plan(images=2), stored(0)).receive(refused(1))
    assert why(accounted(harness)) == [(1, "nsfw")]
    assert harness.job.failed == 1


def test_a_late_image_changes_no_count() -> None:
    harness = JobHarness(a_plan(images=2), stored(0)).at(300).receive(DUE)
    before = harness.job
    assert not harness.at(301).receive(stored(1)).outputs
    assert harness.job is before


def test_the_terminal_event_has_the_cost_of_failed_attempts_too() -> None:
    harness = JobHarness(a_plan(images=2), stored(0, cost_usd=0.5), refused(1, billed="unknown"))
    cost = harness.event("completed").cost
    assert cost is not None
    assert (cost.attempts, cost.usd, cost.unknown, cost.estimated) == (2, 0.5, 1, True)


def test_a_command_states_whether_another_provider_is_able() -> None:
    (command,) = JobHarness(a_plan()).only(RenderRequested)
    assert command.alternatives
    (command,) = JobHarness(a_plan(provider="fal")).only(RenderRequested)
    assert not command.alternatives
