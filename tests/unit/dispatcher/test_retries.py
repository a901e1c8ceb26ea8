"""A failed attempt is retried a limited number of times; other images are not affected."""

from datetime import timedelta

import pytest

from contracts.renders import RenderRequested
from tests.fakes.builders import JOB, a_plan, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.job_harness import JobHarness


def fail_until_given_up(harness: JobHarness, index: int = 0) -> list[float]:
    """Fail each attempt, wake the job when it is due, and return the pauses."""
    pauses = []
    while (attempt := harness.job.renders[index].attempts[-1]).outcome == "open":
        harness.receive(failed(index, attempt.n))
        retry_at = harness.job.renders[index].retry_at
        if retry_at is None:
            break
        pauses.append((retry_at - harness.now).total_seconds())
        harness.now = retry_at
        harness.receive(due(retry_at))
    return pauses


def test_a_failed_attempt_waits_for_its_retry_and_publishes_no_event() -> None:
    harness = JobHarness(a_plan(), progressed()).receive(failed())
    (render,) = harness.job.renders
    (attempt,) = render.attempts
    assert not harness.outputs
    assert (render.state, attempt.outcome, attempt.billed) == ("waiting", "failed", "no")
    assert harness.job.wake_at == render.retry_at


def test_the_retry_starts_when_it_is_due_and_not_before() -> None:
    harness = JobHarness(a_plan()).receive(failed())
    retry_at = harness.job.wake_at
    assert retry_at is not None
    before = harness.job
    harness.now = retry_at - timedelta(milliseconds=1)
    assert not harness.receive(due(harness.now)).outputs
    assert harness.job is before, "an early call writes nothing"
    harness.now = retry_at
    assert harness.receive(due(retry_at)).commands() == [f"{JOB}/0/2"]
    assert harness.job.wake_at == harness.job.deadline_at


def test_a_retry_starts_although_our_clock_is_behind_the_timers_clock() -> None:
    harness = JobHarness(a_plan()).receive(failed())
    retry_at = harness.job.wake_at
    assert retry_at is not None
    harness.now = retry_at - timedelta(milliseconds=50)
    assert harness.receive(due(retry_at)).commands() == [f"{JOB}/0/2"], "this call does not come twice"


def test_after_three_retries_with_growing_pauses_the_image_fails() -> None:
    harness = JobHarness(a_plan())
    pauses = fail_until_given_up(harness)
    assert [round(pause) for pause in pauses] == pytest.approx([1, 2, 3], abs=1)
    assert all(0.75 * base <= pause <= 1.25 * base for base, pause in zip((1, 2, 3), pauses, strict=True))
    assert [attempt.n for attempt in harness.job.renders[0].attempts] == [1, 2, 3, 4]
    assert harness.events() == ["image_failed", "failed"]


def test_the_jitter_of_an_attempt_is_the_same_whenever_it_is_computed_and_differs_between_attempts() -> None:
    lives = [JobHarness(a_plan(images=5)) for _ in range(2)]
    for harness in lives:
        harness.receive(*(failed(index) for index in range(5)))
    first, second = ([render.retry_at for render in harness.job.renders] for harness in lives)
    assert first == second
    assert len(set(first)) > 1


def test_a_failure_that_no_retry_mends_fails_the_image_at_once() -> None:
    harness = JobHarness(a_plan(images=2)).receive(refused(0))
    assert harness.events() == ["started", "image_failed"]
    image = harness.event("image_failed").image
    assert image is not None
    assert image.error is not None
    assert (image.index, image.error.code) == (0, "nsfw")
    assert (harness.job.failed, harness.job.terminal) == (1, False)


def test_a_retry_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    harness = JobHarness(a_plan()).at(299.5).receive(failed())
    assert harness.events() == ["started", "image_failed", "failed"]


def test_only_the_image_that_failed_is_tried_again() -> None:
    harness = JobHarness(a_plan(images=3), stored(0), failed(1)).at(2).receive(due(after(2)))
    assert harness.commands() == [f"{JOB}/1/2"]


def test_a_retry_renders_the_same_prompt_under_a_new_attempt_id() -> None:
    plan = a_plan()
    harness = JobHarness(plan, failed()).at(2).receive(due(after(2)))
    (command,) = harness.only(RenderRequested)
    assert command.spec == plan.renders[0]
    assert command.render_id == f"{JOB}/0"


def test_the_job_wakes_for_the_earliest_retry() -> None:
    harness = JobHarness(a_plan(images=3)).receive(failed(0), failed(1)).at(1).receive(failed(2))
    assert harness.job.wake_at == min(render.retry_at for render in harness.job.renders if render.retry_at)


@pytest.mark.parametrize("again", [failed(), refused(), failed(n=2), failed(9)])
def test_a_failure_of_an_attempt_that_is_not_open_is_ignored(again: object) -> None:
    harness = JobHarness(a_plan(images=2), failed())
    before = harness.job
    assert not harness.receive(again).outputs  # type: ignore[arg-type]
    assert harness.job is before


def test_each_attempt_keeps_why_it_failed_and_whether_it_was_billed() -> None:
    harness = JobHarness(a_plan()).receive(failed(code="timeout", message="after 60 s", billed="unknown"))
    (attempt,) = harness.job.renders[0].attempts
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.message, attempt.billed) == ("timeout", "after 60 s", "unknown")
