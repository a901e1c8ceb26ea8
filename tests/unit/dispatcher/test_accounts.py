"""At a job's end every image is accounted for: done, or failed with its own reason."""

from typing import Any

import pytest

from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from tests.fakes.builders import a_cancel, a_plan, a_spec, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.life import Life

DUE = due(after(300))


def accounted(life: Life) -> list[JobEvent]:
    """Nothing is open or missing, and the failures were said before the end."""
    job = life.job
    assert job.terminal
    assert {render.state for render in job.renders} <= {"done", "failed"}
    assert (job.delivered + job.failed, len(job.renders)) == (job.requested, job.requested)
    assert job.failed == sum(render.state == "failed" for render in job.renders)
    assert all(render.error for render in job.renders if render.state == "failed")
    assert not any(render.retry_at for render in job.renders)
    events = life.only(JobEvent)
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert events[-1].event in ("completed", "failed")
    assert events[-1].failed == job.failed
    return [event for event in events if event.event == "image_failed"]


def why(events: list[JobEvent]) -> list[tuple[int, str]]:
    """Which images failed, and the codes of their reasons."""
    return [(e.image.index, e.image.error.code) for e in events if e.image and e.image.error]


def test_what_is_not_ready_by_the_deadline_of_a_completed_job_has_failed() -> None:
    life = Life(a_plan(images=4), stored(0), stored(2), progressed(1)).at(300).hear(DUE)
    assert why(accounted(life)) == [(1, "deadline_exceeded"), (3, "deadline_exceeded")]
    assert (life.job.status, life.job.delivered, life.job.failed) == ("completed", 2, 2)


def test_what_is_not_ready_by_the_deadline_of_a_failed_job_has_failed_with_it() -> None:
    life = Life(a_plan(images=4), stored(0), refused(1)).at(300).hear(DUE)
    assert why(accounted(life)) == [(2, "deadline_exceeded"), (3, "deadline_exceeded")]
    assert life.job.renders[1].error is not None
    assert life.job.renders[1].error.code == "nsfw", "what failed before keeps its own reason"


@pytest.mark.parametrize("meanwhile", [[], [progressed()], [failed()], [progressed(state="storing")]])
def test_a_cancelled_job_says_so_of_each_image_whatever_its_state(meanwhile: list[Any]) -> None:
    life = Life(a_plan(images=2), stored(1), *meanwhile).hear(a_cancel())
    assert why(accounted(life)) == [(0, "cancelled")]
    assert life.event("failed").failed == 1


def test_a_job_that_was_cancelled_before_its_plan_accounts_for_all_of_it() -> None:
    life = Life(a_cancel()).hear(a_plan(images=3))
    assert why(accounted(life)) == [(index, "cancelled") for index in range(3)]


def test_a_job_without_a_provider_accounts_for_all_of_it() -> None:
    life = Life(a_plan(renders=(a_spec(0), a_spec(1)), provider="fal", workflow={"3": {}}))
    assert why(accounted(life)) == [(0, "no_provider"), (1, "no_provider")]


def test_a_plan_that_came_too_late_accounts_for_all_of_it() -> None:
    life = Life().at(300).hear(a_plan(images=2))
    assert why(accounted(life)) == [(0, "deadline_exceeded"), (1, "deadline_exceeded")]


def test_a_job_that_settled_by_itself_counts_no_image_twice() -> None:
    life = Life(a_plan(images=2), stored(0)).hear(refused(1))
    assert why(accounted(life)) == [(1, "nsfw")]
    assert life.job.failed == 1


def test_a_late_image_does_not_change_the_account() -> None:
    life = Life(a_plan(images=2), stored(0)).at(300).hear(DUE)
    before = life.job
    assert not life.at(301).hear(stored(1)).said
    assert life.job is before


def test_the_end_says_what_was_paid_also_for_what_failed() -> None:
    life = Life(a_plan(images=2), stored(0, cost_usd=0.5), refused(1, billed="unknown"))
    cost = life.event("completed").cost
    assert cost is not None
    assert (cost.attempts, cost.usd, cost.unknown, cost.estimated) == (2, 0.5, 1, True)


def test_a_command_says_whether_another_provider_could_do_it() -> None:
    (command,) = Life(a_plan()).only(RenderRequested)
    assert command.alternatives
    (command,) = Life(a_plan(provider="fal")).only(RenderRequested)
    assert not command.alternatives
