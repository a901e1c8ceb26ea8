"""Notices of a job to its caller although nothing failed."""

from contracts.jobs import JobEvent
from contracts.notices import Notice
from contracts.renders import ResultStored
from tests.fakes.builders import a_plan, stored
from tests.unit.dispatcher.life import Life
from tests.unit.workflow_graphs import drawing

PLANNED = Notice(code="same_picture", message="no seed", images=(0, 1))
DROPPED = Notice(code="outputs_dropped", message="3 more", images=(0,))


def same(index: int) -> ResultStored:
    """A result that is the same file as every other one of these."""
    result = stored(index)
    assert result.image is not None
    return result.model_copy(update={"image": result.image.model_copy(update={"sha256": "aa"})})


def notices(life: Life, kind: str) -> list[str]:
    return [notice.code for notice in life.event(kind).notices]


def test_what_was_seen_at_planning_is_said_when_the_job_is_accepted_and_at_its_end() -> None:
    life = Life(a_plan(notices=(PLANNED,)))
    assert life.event("accepted").notices == (PLANNED,)
    life.hear(stored())
    assert life.event("image_ready").notices == ()
    assert life.event("completed").notices == life.job.notices == (PLANNED,)


def test_what_a_run_made_besides_is_said_with_its_image_and_kept_in_the_job() -> None:
    life = Life(a_plan(images=2)).hear(stored(notices=(DROPPED,)))
    assert life.event("image_ready").notices == (DROPPED,)
    assert life.job.notices == (DROPPED,)
    assert life.hear(stored(notices=(DROPPED,))).only(JobEvent) == [], "a repetition says nothing"


def test_images_that_are_the_same_file_are_recognised_and_said() -> None:
    life = Life(a_plan(images=3, workflow=drawing(seed=42))).hear(same(2))
    assert notices(life, "image_ready") == []
    life.hear(stored(1))
    assert notices(life, "image_ready") == []
    life.hear(same(0))
    [notice] = life.event("image_ready").notices
    assert (notice.code, notice.images) == ("same_file", (0, 2))
    assert notice.message == (
        "Images 0, 2 are the same file. The workflow has a fixed seed; write {{seed}} where it has its seed."
    )
    assert notices(life, "completed") == ["same_file"]


def test_without_a_workflow_no_seed_is_blamed() -> None:
    life = Life(a_plan(images=2)).hear(same(0), same(1))
    assert life.job.notices[0].message == "Images 0, 1 are the same file."


def test_one_notice_names_all_images_that_are_the_same_file() -> None:
    life = Life(a_plan(images=4)).hear(same(0), same(1), same(2), same(3))
    assert [notice.images for notice in life.job.notices] == [(0, 1, 2, 3)]


def dropped(index: int, message: str = "3 more") -> ResultStored:
    return stored(index, notices=(Notice(code="outputs_dropped", message=message, images=(index,)),))


def test_one_notice_names_all_images_whose_runs_made_more() -> None:
    planned = Notice(code="outputs_dropped", message="4 runs will make 16", images=(0, 1, 2, 3))
    life = Life(a_plan(images=4, notices=(planned, PLANNED))).hear(dropped(2), dropped(0), dropped(3))
    assert life.job.notices == (
        planned,
        PLANNED,
        Notice(code="outputs_dropped", message="3 more", images=(0, 2, 3)),
    )
    life.hear(dropped(1))
    [notice] = life.event("image_ready").notices
    assert notice.images == (1,), "the event of an image is about this image"
    at_the_end = Notice(code="outputs_dropped", message="3 more", images=(0, 1, 2, 3))
    assert life.event("completed").notices == (PLANNED, at_the_end)


def test_other_words_about_another_image_are_another_notice() -> None:
    life = Life(a_plan(images=2)).hear(dropped(0), dropped(1, "1 more"))
    assert [(notice.message, notice.images) for notice in life.job.notices] == [
        ("3 more", (0,)),
        ("1 more", (1,)),
    ]
