"""Progress is told as it comes, and only ever rises."""

import pytest

from contracts.jobs import JobEvent
from tests.fakes.builders import a_plan, after, due, failed, progressed, stored
from tests.unit.dispatcher.life import Life


def test_the_first_sign_of_work_starts_the_job() -> None:
    life = Life(a_plan()).at(2).hear(progressed(percent=5))
    assert life.events() == ["started", "progressed"]
    assert (life.job.status, life.job.phase, life.job.started_at) == ("running", "rendering", after(2))
    assert life.hear(progressed(percent=6)).events() == ["progressed"]


def test_a_place_in_the_queue_is_told_but_is_no_start() -> None:
    life = Life(a_plan()).hear(progressed(state="queued", queue_position=3))
    assert life.events() == ["progressed"]
    assert (life.job.status, life.job.phase) == ("pending", "queued")
    assert life.event("progressed").progress[0].queue_position == 3


def test_progress_is_a_snapshot_of_all_images_under_the_last_number() -> None:
    life = Life(a_plan(images=2), stored(0)).hear(progressed(1, percent=40))
    event = life.event("progressed")
    assert event.seq == life.job.seq == 3
    assert [(each.index, each.state, each.percent) for each in event.progress] == [
        (0, "done", 100),
        (1, "running", 40),
    ]


@pytest.mark.parametrize(
    "late",
    [
        progressed(percent=39),
        progressed(),
        progressed(state="queued"),
        progressed(state="queued", queue_position=1),
    ],
)
def test_late_progress_does_not_set_an_image_back(late: object) -> None:
    life = Life(a_plan(), progressed(percent=40))
    before = life.job
    assert not life.hear(late).said  # type: ignore[arg-type]
    assert life.job is before


@pytest.mark.parametrize(
    "news",
    [progressed(percent=0), progressed(), progressed(state="storing"), progressed(state="queued")],
)
def test_the_same_progress_is_told_once(news: object) -> None:
    life = Life(a_plan(), progressed(percent=0)).hear(news)  # type: ignore[arg-type]
    before = life.job
    assert not life.hear(news).said  # type: ignore[arg-type]
    assert life.job is before


def test_a_state_without_a_percentage_keeps_the_last_one() -> None:
    life = Life(a_plan(), progressed(percent=90)).hear(progressed(state="storing"))
    assert life.job.renders[0].percent == 90


def test_the_job_is_storing_once_no_image_is_still_rendering() -> None:
    life = Life(a_plan(images=2), progressed(0, state="storing"))
    assert life.job.phase == "rendering"
    assert life.hear(progressed(1, state="storing")).job.phase == "storing"


def test_a_job_that_must_render_again_is_no_longer_storing() -> None:
    life = Life(a_plan(), progressed(state="storing")).hear(failed(code="output_unavailable"))
    assert life.job.phase == "rendering"


def test_a_new_attempt_counts_its_progress_from_nothing() -> None:
    life = Life(a_plan(), progressed(percent=80), failed()).at(2).hear(due(after(2)))
    assert life.job.renders[0].percent is None
    assert life.hear(progressed(n=2, percent=10)).job.renders[0].percent == 10


@pytest.mark.parametrize("stranger", [progressed(n=1), progressed(n=3), progressed(7)])
def test_progress_of_an_attempt_that_is_not_open_is_ignored(stranger: object) -> None:
    life = Life(a_plan(), failed()).at(2).hear(due(after(2)))
    before = life.job
    assert not life.hear(stranger).said  # type: ignore[arg-type]
    assert life.job is before


def test_progress_is_not_kept_among_the_events() -> None:
    life = Life(a_plan(), progressed(percent=1), progressed(percent=2))
    assert [event.event for event in life.job.events] == ["accepted", "started"]
    assert all(isinstance(event, JobEvent) for event in life.job.events)
