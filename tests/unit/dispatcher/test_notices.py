"""Notices of a job to its caller although nothing failed."""

from contracts.jobs import JobEvent
from contracts.notices import Notice
from contracts.renders import ResultStored
from tests.fakes.builders import a_plan, stored
from tests.unit.dispatcher.job_harness import JobHarness
from tests.unit.workflow_graphs import drawing

PLANNED = Notice(code="same_picture", message="no seed", images=(0, 1))
DROPPED = Notice(code="outputs_dropped", message="3 more", images=(0,))


def same(index: int) -> ResultStored:
    """Return a result with the same file for every image."""
    result = stored(index)
    assert result.image is not None
    return result.model_copy(update={"image": result.image.model_copy(update={"sha256": "aa"})})


def notices(harness: JobHarness, kind: str) -> list[str]:
    return [notice.code for notice in harness.event(kind).notices]


def test_notices_of_the_plan_are_in_the_accepted_and_the_terminal_event() -> None:
    harness = JobHarness(a_plan(notices=(PLANNED,)))
    assert harness.event("accepted").notices == (PLANNED,)
    harness.receive(stored())
    assert harness.event("image_ready").notices == ()
    assert harness.event("completed").notices == harness.job.notices == (PLANNED,)


def test_further_outputs_of_a_run_are_named_with_the_image_and_in_the_job() -> None:
    harness = JobHarness(a_plan(images=2)).receive(stored(notices=(DROPPED,)))
    assert harness.event("image_ready").notices == (DROPPED,)
    assert harness.job.notices == (DROPPED,)
    assert harness.receive(stored(notices=(DROPPED,))).only(JobEvent) == [], "a repetition says nothing"


def test_images_that_are_the_same_file_are_recognised_in_a_notice() -> None:
    harness = JobHarness(a_plan(images=3, workflow=drawing(seed=42))).receive(same(2))
    assert notices(harness, "image_ready") == []
    harness.receive(stored(1))
    assert notices(harness, "image_ready") == []
    harness.receive(same(0))
    [notice] = harness.event("image_ready").notices
    assert (notice.code, notice.images) == ("same_file", (0, 2))
    assert notice.message == (
        "Images 0, 2 are the same file. The workflow has a fixed seed; write {{seed}} where it has its seed."
    )
    assert notices(harness, "completed") == ["same_file"]


def test_without_a_workflow_no_seed_is_blamed() -> None:
    harness = JobHarness(a_plan(images=2)).receive(same(0), same(1))
    assert harness.job.notices[0].message == "Images 0, 1 are the same file."


def test_one_notice_names_all_images_that_are_the_same_file() -> None:
    harness = JobHarness(a_plan(images=4)).receive(same(0), same(1), same(2), same(3))
    assert [notice.images for notice in harness.job.notices] == [(0, 1, 2, 3)]


def dropped(index: int, message: str = "3 more") -> ResultStored:
    return stored(index, notices=(Notice(code="outputs_dropped", message=message, images=(index,)),))


def test_one_notice_names_all_images_whose_runs_made_more() -> None:
    planned = Notice(code="outputs_dropped", message="4 runs will make 16", images=(0, 1, 2, 3))
    harness = JobHarness(a_plan(images=4, notices=(planned, PLANNED))).receive(
        dropped(2), dropped(0), dropped(3)
    )
    assert harness.job.notices == (
        planned,
        PLANNED,
        Notice(code="outputs_dropped", message="3 more", images=(0, 2, 3)),
    )
    harness.receive(dropped(1))
    [notice] = harness.event("image_ready").notices
    assert notice.images == (1,), "the event of an image is about this image"
    at_the_end = Notice(code="outputs_dropped", message="3 more", images=(0, 1, 2, 3))
    assert harness.event("completed").notices == (PLANNED, at_the_end)


def test_other_words_about_another_image_are_another_notice() -> None:
    harness = JobHarness(a_plan(images=2)).receive(dropped(0), dropped(1, "1 more"))
    assert [(notice.message, notice.images) for notice in harness.job.notices] == [
        ("3 more", (0,)),
        ("1 more", (1,)),
    ]
