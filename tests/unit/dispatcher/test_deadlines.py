"""Every accepted job ends by its deadline, with the images it has by then."""

from datetime import timedelta

import pytest

from contracts.jobs import CharacterSheetCompleted
from tests.fakes.builders import CHARACTER, JOB, a_plan, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.job_harness import JobHarness

DUE = due(after(300))


def test_at_the_deadline_a_job_with_enough_images_is_complete() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), stored(2), progressed(1)).at(300).receive(DUE)
    assert harness.events() == ["image_failed", "image_failed", "completed"]
    assert sorted(harness.cancelled()) == [f"{JOB}/1/1", f"{JOB}/3/1"]
    assert (harness.job.delivered, harness.job.error, harness.job.wake_at) == (2, None, None)


def test_at_the_deadline_a_job_with_too_few_images_fails_with_their_number() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), refused(1)).at(300).receive(DUE)
    error = harness.event("failed").error
    assert error is not None
    assert (error.code, error.message) == (
        "deadline_exceeded",
        "1 of 4 images were ready after 300 s",
    )
    assert harness.cancelled() == [f"{JOB}/2/1", f"{JOB}/3/1"]


def test_a_job_without_any_progress_ends_at_its_deadline() -> None:
    harness = JobHarness(a_plan()).at(300).receive(DUE)
    assert harness.events() == ["image_failed", "failed"]
    assert harness.cancelled() == [f"{JOB}/0/1"]


def test_no_retry_starts_at_the_deadline() -> None:
    harness = JobHarness(a_plan(), failed()).at(300).receive(DUE)
    assert harness.events() == ["image_failed", "failed"]
    assert not harness.commands()


@pytest.mark.parametrize("early", [1, 299.999])
def test_a_timer_before_the_deadline_leaves_the_job_unchanged(early: float) -> None:
    harness = JobHarness(a_plan()).at(early)
    before = harness.job
    assert not harness.receive(due(after(early))).outputs
    assert harness.job is before


def test_a_job_ends_although_our_clock_is_behind_the_timers_clock() -> None:
    harness = JobHarness(a_plan())
    harness.now = after(300) - timedelta(milliseconds=50)
    assert harness.receive(DUE).events() == ["image_failed", "failed"]


def test_a_second_timer_at_the_deadline_changes_nothing() -> None:
    harness = JobHarness(a_plan()).at(300).receive(DUE)
    before = harness.job
    assert not harness.at(310).receive(DUE).outputs
    assert harness.job is before


def test_a_sheet_with_enough_images_at_its_deadline_is_trained_on() -> None:
    plan = a_plan(images=4, type="character_sheet", character_id=CHARACTER)
    harness = JobHarness(plan, stored(0), stored(1), stored(3)).at(300).receive(DUE)
    (sheet,) = harness.only(CharacterSheetCompleted)
    assert sheet.images == (f"{JOB}/0", f"{JOB}/1", f"{JOB}/3")
