"""Progress is published as it arrives, and only rises."""

import pytest

from contracts.jobs import JobEvent
from tests.fakes.builders import a_plan, after, due, failed, progressed, stored
from tests.unit.dispatcher.job_harness import JobHarness


def test_the_first_sign_of_work_starts_the_job() -> None:
    harness = JobHarness(a_plan()).at(2).receive(progressed(percent=5))
    assert harness.events() == ["started", "progressed"]
    assert (harness.job.status, harness.job.phase, harness.job.started_at) == (
        "running",
        "rendering",
        after(2),
    )
    assert harness.receive(progressed(percent=6)).events() == ["progressed"]


def test_a_queue_position_is_reported_and_does_not_start_the_job() -> None:
    harness = JobHarness(a_plan()).receive(progressed(state="queued", queue_position=3))
    assert harness.events() == ["progressed"]
    assert (harness.job.status, harness.job.phase) == ("pending", "queued")
    assert harness.event("progressed").progress[0].queue_position == 3


def test_progress_is_a_snapshot_of_all_images_under_the_last_number() -> None:
    harness = JobHarness(a_plan(images=2), stored(0)).receive(progressed(1, percent=40))
    event = harness.event("progressed")
    assert event.seq == harness.job.seq == 3
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
def test_late_progress_does_not_lower_an_images_progress(late: object) -> None:
    harness = JobHarness(a_plan(), progressed(percent=40))
    before = harness.job
    assert not harness.receive(late).outputs  # type: ignore[arg-type]
    assert harness.job is before


@pytest.mark.parametrize(
    "news",
    [progressed(percent=0), progressed(), progressed(state="storing"), progressed(state="queued")],
)
def test_the_same_progress_is_published_once(news: object) -> None:
    harness = JobHarness(a_plan(), progressed(percent=0)).receive(news)  # type: ignore[arg-type]
    before = harness.job
    assert not harness.receive(news).outputs  # type: ignore[arg-type]
    assert harness.job is before


def test_a_state_without_a_percentage_keeps_the_last_one() -> None:
    harness = JobHarness(a_plan(), progressed(percent=90)).receive(progressed(state="storing"))
    assert harness.job.renders[0].percent == 90


def test_the_job_is_storing_once_no_image_is_still_rendering() -> None:
    harness = JobHarness(a_plan(images=2), progressed(0, state="storing"))
    assert harness.job.phase == "rendering"
    assert harness.receive(progressed(1, state="storing")).job.phase == "storing"


def test_a_job_that_must_render_again_is_no_longer_storing() -> None:
    harness = JobHarness(a_plan(), progressed(state="storing")).receive(failed(code="output_unavailable"))
    assert harness.job.phase == "rendering"


def test_a_new_attempt_counts_its_progress_from_nothing() -> None:
    harness = JobHarness(a_plan(), progressed(percent=80), failed()).at(2).receive(due(after(2)))
    assert harness.job.renders[0].percent is None
    assert harness.receive(progressed(n=2, percent=10)).job.renders[0].percent == 10


@pytest.mark.parametrize("stranger", [progressed(n=1), progressed(n=3), progressed(7)])
def test_progress_of_an_attempt_that_is_not_open_is_ignored(stranger: object) -> None:
    harness = JobHarness(a_plan(), failed()).at(2).receive(due(after(2)))
    before = harness.job
    assert not harness.receive(stranger).outputs  # type: ignore[arg-type]
    assert harness.job is before


def test_progress_is_not_kept_among_the_events() -> None:
    harness = JobHarness(a_plan(), progressed(percent=1), progressed(percent=2))
    assert [event.event for event in harness.job.events] == ["accepted", "started"]
    assert all(isinstance(event, JobEvent) for event in harness.job.events)
