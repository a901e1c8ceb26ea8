"""Stored images are delivered one by one; the first result of a render wins; enough of them is success."""

from typing import Any

import pytest

from contracts.jobs import CharacterSheetCompleted
from services.dispatcher.policies import load_policies
from tests.fakes.builders import CHAIN, CHARACTER, JOB, a_plan, after, due, failed, refused, stored
from tests.unit.dispatcher.life import Life


def test_a_stored_image_is_announced_and_the_last_one_completes_the_job() -> None:
    life = Life(a_plan(images=2)).hear(stored(1))
    assert life.events() == ["started", "image_ready"]
    image = life.event("image_ready").image
    assert image is not None
    assert (image.index, image.label, image.stored) == (1, "shot 1", stored(1).image)
    assert life.at(12).hear(stored(0)).events() == ["image_ready", "completed"]
    assert (life.job.status, life.job.phase, life.job.delivered) == ("completed", None, 2)
    assert (life.job.finished_at, life.job.elapsed_seconds, life.job.wake_at) == (after(12), 12, None)


def test_the_cost_of_a_result_is_kept_with_its_attempt() -> None:
    life = Life(a_plan()).hear(stored(cost_usd=0.04))
    (attempt,) = life.job.renders[0].attempts
    assert (attempt.outcome, attempt.billed, attempt.cost_usd) == ("succeeded", "yes", 0.04)


def test_the_cost_of_a_running_job_is_a_number_as_soon_as_something_was_billed() -> None:
    policies = load_policies()
    life = Life(a_plan(images=2), policies=policies)
    assert (life.job.cost.attempts, life.job.cost.usd, life.job.cost.estimated) == (0, 0.0, False)
    life.hear(stored(0, cost_usd=0.04))
    assert (life.job.status, life.job.cost.usd, life.job.cost.estimated) == ("running", 0.04, False)
    life.hear(stored(1))
    listed = policies.prices_usd["modal"]["text_to_image"]
    assert (life.job.cost.attempts, life.job.cost.usd) == (2, round(0.04 + listed, 6))
    assert life.job.cost.estimated


@pytest.mark.parametrize("again", [stored(), stored(n=2), stored(duplicate=True)])
def test_an_image_is_delivered_once(again: object) -> None:
    life = Life(a_plan(images=2), stored())
    before = life.job
    assert not life.hear(again).said  # type: ignore[arg-type]
    assert life.job is before


def test_a_duplicate_is_not_delivered_even_before_the_first() -> None:
    life = Life(a_plan()).hear(stored(duplicate=True))
    assert not life.said
    assert life.job.delivered == 0


def test_a_result_of_an_image_that_was_never_asked_for_is_ignored() -> None:
    assert not Life(a_plan()).hear(stored(5)).said


def test_a_late_result_of_a_failed_attempt_wins_and_stops_the_retry() -> None:
    life = Life(a_plan(images=2), failed()).at(2).hear(due(after(2)))
    life.hear(stored(n=1))
    assert life.events() == ["image_ready"]
    assert life.stopped() == [f"{JOB}/0/2"]
    outcomes = [(attempt.outcome, attempt.error) for attempt in life.job.renders[0].attempts]
    assert outcomes == [("succeeded", None), ("cancelled", None)]


def test_a_late_result_during_the_pause_makes_the_retry_needless() -> None:
    life = Life(a_plan(images=2), failed()).hear(stored(n=1))
    assert life.job.wake_at == life.job.deadline_at
    assert not life.at(5).hear(due(after(5))).said


def test_a_late_result_takes_back_that_its_image_failed() -> None:
    life = Life(a_plan(images=2), refused(0)).hear(stored(0))
    assert life.events() == ["image_ready"]
    assert (life.job.delivered, life.job.failed, life.job.renders[0].error) == (1, 0, None)


def test_a_result_after_the_end_changes_nothing() -> None:
    life = Life(a_plan(images=2), stored(0)).at(300).hear(due(after(300)))
    before = life.job
    assert before.status == "completed"
    assert not life.hear(stored(1)).said
    assert life.job is before


def test_enough_images_complete_the_job_once_all_are_settled() -> None:
    life = Life(a_plan(images=4), stored(0), stored(1), refused(2))
    assert not life.job.terminal, "the fourth may still come"
    event = life.hear(refused(3)).event("completed")
    assert (event.requested, event.delivered, event.failed, event.error) == (4, 2, 2, None)


def test_too_few_images_fail_the_job_but_stay_delivered() -> None:
    life = Life(a_plan(images=4), stored(0), refused(1), refused(2)).hear(refused(3))
    error = life.event("failed").error
    assert error is not None
    assert (error.code, error.message) == ("too_few_images", "1 of 4 images are ready, 2 needed")
    assert life.job.renders[0].stored == stored(0).image


def test_no_image_at_all_fails_the_job_and_says_each_cause_once() -> None:
    causes = (refused(0), refused(1), refused(2, message="out of memory"))
    error = Life(a_plan(images=3)).hear(*causes).event("failed").error
    assert error is not None
    assert error.code == "provider_failed"
    assert error.message == "refused by the safety checker; out of memory"


def test_a_complete_character_sheet_is_announced_for_training() -> None:
    plan = a_plan(images=4, type="character_sheet", character_id=CHARACTER, chain_id=CHAIN)
    life = Life(plan, stored(2), refused(1), stored(3)).hear(stored(0))
    assert life.events() == ["image_ready", "completed"]
    (sheet,) = life.only(CharacterSheetCompleted)
    assert (sheet.character_id, sheet.job_id, sheet.chain_id) == (CHARACTER, JOB, CHAIN)
    assert sheet.images == (f"{JOB}/0", f"{JOB}/2", f"{JOB}/3"), "the failed one is not trained on"
    assert sheet.labels == ("shot 0", "shot 2", "shot 3")
    assert not sheet.partial


def test_poses_that_were_drawn_again_are_announced_as_such() -> None:
    life = Life(a_plan(type="character_sheet", character_id=CHARACTER, partial=True)).hear(stored(0))
    (sheet,) = life.only(CharacterSheetCompleted)
    assert sheet.partial


def test_a_sheet_with_too_few_images_is_not_trained_on() -> None:
    plan = a_plan(images=3, type="character_sheet", character_id=CHARACTER)
    life = Life(plan, stored(0), refused(1)).hear(refused(2))
    assert life.events() == ["image_failed", "failed"]
    assert not life.only(CharacterSheetCompleted)


@pytest.mark.parametrize("fields", [{"type": "character_sheet"}, {"character_id": CHARACTER}])
def test_only_sheets_of_stored_characters_are_announced(fields: dict[str, Any]) -> None:
    life = Life(a_plan(**fields)).hear(stored())
    assert life.job.status == "completed"
    assert not life.only(CharacterSheetCompleted)


def test_a_job_whose_input_does_not_exist_says_so() -> None:
    error = (
        Life(a_plan()).hear(refused(code="input_not_found", message="no image there")).event("failed").error
    )
    assert error is not None
    assert (error.code, error.message) == ("input_not_found", "no image there")
