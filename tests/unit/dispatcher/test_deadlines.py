"""Every accepted job ends by its deadline, with what it has by then."""

from datetime import timedelta

import pytest

from contracts.jobs import CharacterSheetCompleted
from tests.fakes.builders import CHARACTER, JOB, a_plan, after, due, failed, progressed, refused, stored
from tests.unit.dispatcher.life import Life

DUE = due(after(300))


def test_at_the_deadline_a_job_with_enough_images_is_complete() -> None:
    life = Life(a_plan(images=4), stored(0), stored(2), progressed(1)).at(300).hear(DUE)
    assert life.events() == ["image_failed", "image_failed", "completed"]
    assert sorted(life.stopped()) == [f"{JOB}/1/1", f"{JOB}/3/1"]
    assert (life.job.delivered, life.job.error, life.job.wake_at) == (2, None, None)


def test_at_the_deadline_a_job_with_too_few_images_fails_and_says_how_many_there_are() -> None:
    life = Life(a_plan(images=4), stored(0), refused(1)).at(300).hear(DUE)
    error = life.event("failed").error
    assert error is not None
    assert (error.code, error.message) == (
        "deadline_exceeded",
        "1 of 4 images were ready after 300 s",
    )
    assert life.stopped() == [f"{JOB}/2/1", f"{JOB}/3/1"]


def test_a_job_that_nobody_ever_worked_on_ends_at_its_deadline_too() -> None:
    life = Life(a_plan()).at(300).hear(DUE)
    assert life.events() == ["image_failed", "failed"]
    assert life.stopped() == [f"{JOB}/0/1"]


def test_no_retry_starts_at_the_deadline() -> None:
    life = Life(a_plan(), failed()).at(300).hear(DUE)
    assert life.events() == ["image_failed", "failed"]
    assert not life.commands()


@pytest.mark.parametrize("early", [1, 299.999])
def test_a_call_before_the_deadline_leaves_the_job_as_it_is(early: float) -> None:
    life = Life(a_plan()).at(early)
    before = life.job
    assert not life.hear(due(after(early))).said
    assert life.job is before


def test_a_job_ends_although_our_clock_is_behind_the_one_that_called() -> None:
    life = Life(a_plan())
    life.now = after(300) - timedelta(milliseconds=50)
    assert life.hear(DUE).events() == ["image_failed", "failed"]


def test_the_second_call_at_the_deadline_changes_nothing() -> None:
    life = Life(a_plan()).at(300).hear(DUE)
    before = life.job
    assert not life.at(310).hear(DUE).said
    assert life.job is before


def test_a_sheet_with_enough_images_at_its_deadline_is_trained_on() -> None:
    plan = a_plan(images=4, type="character_sheet", character_id=CHARACTER)
    life = Life(plan, stored(0), stored(1), stored(3)).at(300).hear(DUE)
    (sheet,) = life.only(CharacterSheetCompleted)
    assert sheet.images == (f"{JOB}/0", f"{JOB}/1", f"{JOB}/3")
