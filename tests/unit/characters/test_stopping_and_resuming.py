"""A chain is cancelled as a whole, and resumes at the steps that did not complete."""

import pytest

from contracts.requests import CharacterSheetRequest, LoraTrainingRequest, StudioFollowUp
from services.characters.job_requests import job_id_of
from tests.fakes.builders import JOB
from tests.fakes.characters import (
    a_beginning,
    a_chain_cancel,
    a_failure,
    a_resume,
    an_event,
    images,
)
from tests.unit.characters.chain_harness import ChainHarness, trained, with_lora


def sheet_asked(harness: ChainHarness) -> CharacterSheetRequest:
    request = harness.requests[-1].request
    assert isinstance(request, CharacterSheetRequest)
    return request


def training_asked(harness: ChainHarness) -> LoraTrainingRequest:
    request = harness.requests[-1].request
    assert isinstance(request, LoraTrainingRequest)
    return request


def test_a_cancel_stops_running_jobs_and_starts_no_more() -> None:
    harness = with_lora()
    running = [harness.job(2), harness.job(3)]
    harness.receive(a_chain_cancel())
    assert (harness.cancels, harness.states()) == (running, "cancelled: cccc")
    assert [harness.step(place).state for place in range(4)] == ["completed"] * 2 + ["cancelled"] * 2


def test_a_cancelled_chain_stays_cancelled_however_its_jobs_end() -> None:
    harness = ChainHarness(a_beginning(), a_chain_cancel())
    assert harness.cancels == [JOB]
    harness.receive(*images(range(7)), an_event("completed"))
    assert (harness.asked, harness.chain.state, harness.step(0).state) == ([], "cancelled", "completed")
    harness.receive(a_resume())
    assert (harness.asked, harness.chain.state) == (["lora_training"], "running")


def test_the_reported_end_of_a_cancelled_job_holds() -> None:
    harness = ChainHarness(a_beginning(), a_chain_cancel())
    harness.receive(a_failure(code="cancelled"))
    assert harness.step(0).state == "cancelled"
    harness.receive(a_failure(code="provider_failed"))
    assert (harness.step(0).state, harness.chain.state) == ("failed", "cancelled")


def test_a_cancel_before_the_request_stops_its_job_when_it_comes() -> None:
    harness = ChainHarness(a_chain_cancel(), a_beginning())
    assert (harness.cancels, harness.states()) == ([JOB], "cancelled: cwww")


@pytest.mark.parametrize("early", [True, False])
def test_another_tenants_commands_change_nothing(early: bool) -> None:
    harness = (
        ChainHarness(a_chain_cancel(tenant="other"), a_beginning()) if early else ChainHarness(a_beginning())
    )
    before = harness.chain
    harness.receive(a_chain_cancel(tenant="other"), a_resume(tenant="other"))
    assert (harness.stored, harness.cancels) == (before, [])
    assert harness.states() == "running: rwww"


def test_a_completed_chain_cannot_be_stopped() -> None:
    harness = with_lora()
    harness.receive(harness.completed(2), harness.completed(3), a_chain_cancel())
    assert (harness.cancels, harness.chain.state) == ([], "completed")


def test_a_sheet_is_resumed_with_the_missing_images_and_trained_on_with_all() -> None:
    harness = ChainHarness(a_beginning(), *images([0, 2, 3, 6]), a_failure(), a_resume())
    asked = sheet_asked(harness)
    assert (asked.only, asked.count, asked.character, asked.character_id) == ((1, 4, 5), 7, None, JOB)
    again = harness.requests[-1].job_id
    assert (again, harness.states()) == (job_id_of(JOB, 0, 2), "running: rwww")
    harness.receive(*images(range(3), again), harness.completed(0))
    trained_on = training_asked(harness)
    assert trained_on.images == (
        f"{JOB}/0",
        f"{again}/0",
        f"{JOB}/2",
        f"{JOB}/3",
        f"{again}/1",
        f"{again}/2",
        f"{JOB}/6",
    )
    assert len(trained_on.captions) == 7


def test_a_sheet_without_any_image_is_drawn_whole() -> None:
    harness = ChainHarness(a_beginning(request={"only": (1, 2, 3, 4, 5)}), a_failure(), a_resume())
    assert sheet_asked(harness).only == (1, 2, 3, 4, 5)
    harness = ChainHarness(a_beginning(), a_failure(), a_resume())
    assert sheet_asked(harness).only == ()


def test_a_sheet_whose_tries_have_all_images_together_is_completed() -> None:
    harness = ChainHarness(a_beginning(), *images(range(4)), a_failure(), a_resume())
    harness.receive(*images(range(3), harness.job(0)), harness.failed(0))
    assert (harness.asked, harness.step(0).state) == (["lora_training"], "completed")


def test_a_sheet_whose_tries_have_enough_images_together_is_completed_once_none_of_them_runs() -> None:
    harness = ChainHarness(a_beginning(), *images(range(4)), a_failure(), a_resume())
    again = harness.job(0)
    harness.receive(*images(range(2), again))
    assert (harness.asked, harness.step(0).state) == ([], "running"), "the last one may still come"
    harness.receive(harness.failed(0))
    assert (harness.asked, harness.step(0).state, harness.step(0).error) == (
        ["lora_training"],
        "completed",
        None,
    )
    assert len(training_asked(harness).images) == 6


def test_a_cancelled_sheet_is_resumed_although_it_has_enough_images() -> None:
    harness = ChainHarness(a_beginning(), *images(range(6)), a_failure(code="cancelled"))
    assert (harness.asked, harness.chain.state) == ([], "failed")
    assert sheet_asked(harness.receive(a_resume())).only == (6,)


def test_a_sheet_that_was_too_small_is_resumed_with_the_other_poses() -> None:
    harness = trained(delivered=3).receive(a_resume())
    assert sheet_asked(harness).only == (3, 4, 5, 6)
    assert harness.states() == "running: rwww"
    harness.receive(*images(range(1), harness.job(0)), harness.completed(0))
    assert (harness.asked, len(training_asked(harness).images)) == (["lora_training"], 4)


def test_few_requested_poses_are_completed_when_resumed() -> None:
    harness = ChainHarness(
        a_beginning(request={"only": (6, 5)}), *images(range(2)), an_event("completed"), a_resume()
    )
    assert sheet_asked(harness).only == (0, 1, 2, 3, 4)


def test_images_are_in_the_order_of_the_poses_however_these_were_requested() -> None:
    harness = ChainHarness(a_beginning(request={"only": (6, 2, 4)}), *images([0, 2]), a_failure(), a_resume())
    assert harness.step(0).images == (f"{JOB}/0", f"{JOB}/2")
    assert sheet_asked(harness).only == (4,)


def test_a_failed_training_is_tried_again_under_another_id() -> None:
    harness = trained()
    first = harness.requests[-1]
    harness.receive(harness.failed(1), a_resume())
    again = harness.requests[-1]
    assert (again.request, harness.states()) == (first.request, "running: crww")
    assert [each.job_id for each in harness.step(1).tries] == [first.job_id, again.job_id]


def test_only_steps_that_did_not_complete_are_retried() -> None:
    harness = with_lora()
    harness.receive(harness.completed(3), harness.failed(2), a_resume())
    assert (harness.asked, harness.states()) == (["studio"], "running: ccrc")


def test_a_step_that_failed_is_tried_again_also_while_others_run() -> None:
    harness = with_lora()
    harness.receive(harness.failed(2), a_resume())
    assert (harness.asked, harness.states()) == (["studio"], "running: ccrr")


def test_a_resumed_chain_continues_with_its_cancelled_steps() -> None:
    harness = with_lora().receive(a_chain_cancel(20), a_resume(30))
    assert (harness.asked, harness.states()) == (["studio", "profile_pictures"], "running: ccrr")
    harness.receive(a_chain_cancel(40))
    assert harness.cancels == [harness.job(2), harness.job(3)]
    assert harness.chain.state == "cancelled"


def test_a_resume_that_is_read_before_the_failure_is_not_lost() -> None:
    harness = ChainHarness(a_beginning(), a_resume(30))
    assert harness.requests == []
    harness.receive(a_failure(seconds=29))
    assert (harness.asked, harness.states()) == (["character_sheet"], "running: rwww")


def test_a_step_that_fails_after_a_resume_waits_for_another() -> None:
    harness = ChainHarness(a_beginning(), a_failure(seconds=10), a_resume(30))
    harness.receive(harness.failed(0, seconds=31))
    assert (harness.asked, harness.chain.state) == ([], "failed")
    assert harness.receive(a_resume(40)).asked == ["character_sheet"]


def test_a_resume_gives_a_step_one_more_try_whatever_the_clocks_show() -> None:
    harness = ChainHarness(a_beginning(), a_failure(seconds=10), a_resume(3000))
    harness.receive(harness.failed(0, seconds=40))
    assert (harness.asked, len(harness.step(0).tries)) == ([], 2)


def test_a_known_failure_is_retried_although_its_clock_was_ahead() -> None:
    harness = ChainHarness(a_beginning(), a_failure(seconds=10), a_resume(5))
    assert harness.asked == ["character_sheet"]


def test_a_repeated_resume_requests_nothing() -> None:
    harness = ChainHarness(a_beginning(), a_failure(), a_resume())
    harness.receive(harness.failed(0, seconds=50))
    before = harness.chain
    assert harness.receive(a_resume()).stored is before


def test_commands_out_of_order_are_ordered_by_their_time() -> None:
    late_cancel = with_lora().receive(a_resume(30), a_chain_cancel(20))
    assert (late_cancel.cancels, late_cancel.chain.state) == ([], "running")
    late_resume = with_lora().receive(a_chain_cancel(30), a_resume(20))
    assert (late_resume.asked, late_resume.chain.state) == ([], "cancelled")


def test_a_try_that_completes_late_cancels_its_replacement() -> None:
    harness = ChainHarness(a_beginning(then=(StudioFollowUp(),)), a_chain_cancel(20), a_resume(30))
    again = harness.job(0)
    harness.receive(an_event("completed"))
    assert (harness.cancels, harness.asked, harness.states()) == ([again], ["studio"], "running: cr")


def test_an_impossible_training_is_not_retried() -> None:
    wrong = a_beginning().then
    harness = ChainHarness(a_beginning(then=(wrong[1], wrong[0])), *images(range(7)), an_event("completed"))
    harness.receive(harness.completed(1), a_resume())
    assert (harness.asked, harness.chain.state) == ([], "failed")
