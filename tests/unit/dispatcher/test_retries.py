"""A failed attempt is tried again a bounded number of times; other images are left alone."""

from datetime import timedelta

import pytest

from contracts.renders import RenderRequested
from tests.fakes.builders import JOB, a_plan, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.life import Life


def fail_until_given_up(life: Life, index: int = 0) -> list[float]:
    """Fail each attempt, wake the job when it asks for it; the pauses it asked for."""
    pauses = []
    while (attempt := life.job.renders[index].attempts[-1]).outcome == "open":
        life.hear(failed(index, attempt.n))
        retry_at = life.job.renders[index].retry_at
        if retry_at is None:
            break
        pauses.append((retry_at - life.now).total_seconds())
        life.now = retry_at
        life.hear(due(retry_at))
    return pauses


def test_a_failed_attempt_waits_for_its_retry_and_says_nothing_of_it() -> None:
    life = Life(a_plan(), progressed()).hear(failed())
    (render,) = life.job.renders
    (attempt,) = render.attempts
    assert not life.said
    assert (render.state, attempt.outcome, attempt.billed) == ("waiting", "failed", "no")
    assert life.job.wake_at == render.retry_at


def test_the_retry_starts_when_it_is_due_and_not_before() -> None:
    life = Life(a_plan()).hear(failed())
    retry_at = life.job.wake_at
    assert retry_at is not None
    before = life.job
    life.now = retry_at - timedelta(milliseconds=1)
    assert not life.hear(due(life.now)).said
    assert life.job is before, "an early call writes nothing"
    life.now = retry_at
    assert life.hear(due(retry_at)).commands() == [f"{JOB}/0/2"]
    assert life.job.wake_at == life.job.deadline_at


def test_a_retry_starts_although_our_clock_is_behind_the_one_that_called() -> None:
    life = Life(a_plan()).hear(failed())
    retry_at = life.job.wake_at
    assert retry_at is not None
    life.now = retry_at - timedelta(milliseconds=50)
    assert life.hear(due(retry_at)).commands() == [f"{JOB}/0/2"], "this call does not come twice"


def test_three_retries_with_growing_jittered_pauses_then_the_image_is_given_up() -> None:
    life = Life(a_plan())
    pauses = fail_until_given_up(life)
    assert [round(pause) for pause in pauses] == pytest.approx([1, 2, 3], abs=1)
    assert all(0.75 * base <= pause <= 1.25 * base for base, pause in zip((1, 2, 3), pauses, strict=True))
    assert [attempt.n for attempt in life.job.renders[0].attempts] == [1, 2, 3, 4]
    assert life.events() == ["image_failed", "failed"]


def test_the_jitter_of_an_attempt_is_the_same_whenever_it_is_computed_and_differs_between_attempts() -> None:
    lives = [Life(a_plan(images=5)) for _ in range(2)]
    for life in lives:
        life.hear(*(failed(index) for index in range(5)))
    first, second = ([render.retry_at for render in life.job.renders] for life in lives)
    assert first == second
    assert len(set(first)) > 1


def test_a_failure_that_no_retry_mends_fails_the_image_at_once() -> None:
    life = Life(a_plan(images=2)).hear(refused(0))
    assert life.events() == ["started", "image_failed"]
    image = life.event("image_failed").image
    assert image is not None
    assert image.error is not None
    assert (image.index, image.error.code) == (0, "nsfw")
    assert (life.job.failed, life.job.terminal) == (1, False)


def test_a_retry_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    life = Life(a_plan()).at(299.5).hear(failed())
    assert life.events() == ["started", "image_failed", "failed"]


def test_only_the_image_that_failed_is_tried_again() -> None:
    life = Life(a_plan(images=3), stored(0), failed(1)).at(2).hear(due(after(2)))
    assert life.commands() == [f"{JOB}/1/2"]


def test_a_retry_renders_the_same_prompt_under_a_new_attempt_id() -> None:
    plan = a_plan()
    life = Life(plan, failed()).at(2).hear(due(after(2)))
    (command,) = life.only(RenderRequested)
    assert command.spec == plan.renders[0]
    assert command.render_id == f"{JOB}/0"


def test_the_job_wakes_for_the_earliest_retry() -> None:
    life = Life(a_plan(images=3)).hear(failed(0), failed(1)).at(1).hear(failed(2))
    assert life.job.wake_at == min(render.retry_at for render in life.job.renders if render.retry_at)


@pytest.mark.parametrize("again", [failed(), refused(), failed(n=2), failed(9)])
def test_a_failure_of_an_attempt_that_is_not_open_is_ignored(again: object) -> None:
    life = Life(a_plan(images=2), failed())
    before = life.job
    assert not life.hear(again).said  # type: ignore[arg-type]
    assert life.job is before


def test_each_attempt_keeps_why_it_failed_and_whether_it_was_billed() -> None:
    life = Life(a_plan()).hear(failed(code="timeout", message="after 60 s", billed="unknown"))
    (attempt,) = life.job.renders[0].attempts
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.message, attempt.billed) == ("timeout", "after 60 s", "unknown")
