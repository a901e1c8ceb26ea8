"""Stored images are delivered one by one; the first result of a render wins; enough of them is success."""

from typing import Any

import pytest

from contracts.jobs import CharacterSheetCompleted
from services.dispatcher.policies import load_policies
from tests.fakes.builders import CHAIN, CHARACTER, JOB, a_plan, after, due, failed, refused, stored
from tests.unit.dispatcher.job_harness import JobHarness


def test_a_stored_image_is_announced_and_the_last_one_completes_the_job() -> None:
    harness = JobHarness(a_plan(images=2)).receive(stored(1))
    assert harness.events() == ["started", "image_ready"]
    image = harness.event("image_ready").image
    assert image is not None
    assert (image.index, image.label, image.stored) == (1, "shot 1", stored(1).image)
    assert harness.at(12).receive(stored(0)).events() == ["image_ready", "completed"]
    assert (harness.job.status, harness.job.phase, harness.job.delivered) == ("completed", None, 2)
    assert (harness.job.finished_at, harness.job.elapsed_seconds, harness.job.wake_at) == (
        after(12),
        12,
        None,
    )


def test_the_cost_of_a_result_is_kept_with_its_attempt() -> None:
    harness = JobHarness(a_plan()).receive(stored(cost_usd=0.04))
    (attempt,) = harness.job.renders[0].attempts
    assert (attempt.outcome, attempt.billed, attempt.cost_usd) == ("succeeded", "yes", 0.04)


def test_the_cost_of_a_running_job_is_a_number_as_soon_as_something_was_billed() -> None:
    policies = load_policies()
    harness = JobHarness(a_plan(images=2), policies=policies)
    assert (harness.job.cost.attempts, harness.job.cost.usd, harness.job.cost.estimated) == (0, 0.0, False)
    harness.receive(stored(0, cost_usd=0.04))
    assert (harness.job.status, harness.job.cost.usd, harness.job.cost.estimated) == ("running", 0.04, False)
    harness.receive(stored(1))
    listed = policies.prices_usd["modal"]["text_to_image"]
    assert (harness.job.cost.attempts, harness.job.cost.usd) == (2, round(0.04 + listed, 6))
    assert harness.job.cost.estimated


@pytest.mark.parametrize("again", [stored(), stored(n=2), stored(duplicate=True)])
def test_an_image_is_delivered_once(again: object) -> None:
    harness = JobHarness(a_plan(images=2), stored())
    before = harness.job
    assert not harness.receive(again).outputs  # type: ignore[arg-type]
    assert harness.job is before


def test_a_duplicate_is_not_delivered_even_before_the_first() -> None:
    harness = JobHarness(a_plan()).receive(stored(duplicate=True))
    assert not harness.outputs
    assert harness.job.delivered == 0


def test_a_result_of_an_image_that_was_never_asked_for_is_ignored() -> None:
    assert not JobHarness(a_plan()).receive(stored(5)).outputs


def test_a_late_result_of_a_failed_attempt_wins_and_stops_the_retry() -> None:
    harness = JobHarness(a_plan(images=2), failed()).at(2).receive(due(after(2)))
    harness.receive(stored(n=1))
    assert harness.events() == ["image_ready"]
    assert harness.cancelled() == [f"{JOB}/0/2"]
    outcomes = [(attempt.outcome, attempt.error) for attempt in harness.job.renders[0].attempts]
    assert outcomes == [("succeeded", None), ("cancelled", None)]


def test_a_late_result_during_the_pause_makes_the_retry_needless() -> None:
    harness = JobHarness(a_plan(images=2), failed()).receive(stored(n=1))
    assert harness.job.wake_at == harness.job.deadline_at
    assert not harness.at(5).receive(due(after(5))).outputs


def test_a_late_result_reverts_the_failure_of_its_image() -> None:
    harness = JobHarness(a_plan(images=2), refused(0)).receive(stored(0))
    assert harness.events() == ["image_ready"]
    assert (harness.job.delivered, harness.job.failed, harness.job.renders[0].error) == (1, 0, None)


def test_a_result_after_the_end_changes_nothing() -> None:
    harness = JobHarness(a_plan(images=2), stored(0)).at(300).receive(due(after(300)))
    before = harness.job
    assert before.status == "completed"
    assert not harness.receive(stored(1)).outputs
    assert harness.job is before


def test_enough_images_complete_the_job_once_all_are_settled() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), stored(1), refused(2))
    assert not harness.job.terminal, "the fourth may still come"
    event = harness.receive(refused(3)).event("completed")
    assert (event.requested, event.delivered, event.failed, event.error) == (4, 2, 2, None)


def test_too_few_images_fail_the_job_but_stay_delivered() -> None:
    harness = JobHarness(a_plan(images=4), stored(0), refused(1), refused(2)).receive(refused(3))
    error = harness.event("failed").error
    assert error is not None
    assert (error.code, error.message) == ("too_few_images", "1 of 4 images are ready, 2 needed")
    assert harness.job.renders[0].stored == stored(0).image


def test_no_image_at_all_fails_the_job_and_names_each_cause_once() -> None:
    causes = (refused(0), refused(1), refused(2, message="out of memory"))
    error = JobHarness(a_plan(images=3)).receive(*causes).event("failed").error
    assert error is not None
    assert error.code == "provider_failed"
    assert error.message == "refused by the safety checker; out of memory"


def test_a_complete_character_sheet_is_announced_for_training() -> None:
    plan = a_plan(images=4, type="character_sheet", character_id=CHARACTER, chain_id=CHAIN)
    harness = JobHarness(plan, stored(2), refused(1), stored(3)).receive(stored(0))
    assert harness.events() == ["image_ready", "completed"]
    (sheet,) = harness.only(CharacterSheetCompleted)
    assert (sheet.character_id, sheet.job_id, sheet.chain_id) == (CHARACTER, JOB, CHAIN)
    assert sheet.images == (f"{JOB}/0", f"{JOB}/2", f"{JOB}/3"), "the failed one is not trained on"
    assert sheet.labels == ("shot 0", "shot 2", "shot 3")
    assert not sheet.partial


def test_poses_that_were_drawn_again_are_announced_as_such() -> None:
    harness = JobHarness(a_plan(type="character_sheet", character_id=CHARACTER, partial=True)).receive(
        stored(0)
    )
    (sheet,) = harness.only(CharacterSheetCompleted)
    assert sheet.partial


def test_a_sheet_with_too_few_images_is_not_trained_on() -> None:
    plan = a_plan(images=3, type="character_sheet", character_id=CHARACTER)
    harness = JobHarness(plan, stored(0), refused(1)).receive(refused(2))
    assert harness.events() == ["image_failed", "failed"]
    assert not harness.only(CharacterSheetCompleted)


@pytest.mark.parametrize("fields", [{"type": "character_sheet"}, {"character_id": CHARACTER}])
def test_only_sheets_of_stored_characters_are_announced(fields: dict[str, Any]) -> None:
    harness = JobHarness(a_plan(**fields)).receive(stored())
    assert harness.job.status == "completed"
    assert not harness.only(CharacterSheetCompleted)


def test_a_job_whose_input_does_not_exist_fails_with_that_code() -> None:
    error = (
        JobHarness(a_plan())
        .receive(refused(code="input_not_found", message="no image there"))
        .event("failed")
        .error
    )
    assert error is not None
    assert (error.code, error.message) == ("input_not_found", "no image there")
