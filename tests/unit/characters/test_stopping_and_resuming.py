"""A chain is stopped as a whole, and goes on at the steps that did not end well."""

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
from tests.unit.characters.tale import Tale, trained, with_lora


def sheet_asked(tale: Tale) -> CharacterSheetRequest:
    request = tale.requests[-1].request
    assert isinstance(request, CharacterSheetRequest)
    return request


def training_asked(tale: Tale) -> LoraTrainingRequest:
    request = tale.requests[-1].request
    assert isinstance(request, LoraTrainingRequest)
    return request


def test_a_cancel_stops_what_runs_and_starts_nothing_more() -> None:
    tale = with_lora()
    running = [tale.job(2), tale.job(3)]
    tale.hear(a_chain_cancel())
    assert (tale.cancels, tale.states()) == (running, "cancelled: cccc")
    assert [tale.step(place).state for place in range(4)] == ["completed"] * 2 + ["cancelled"] * 2


def test_a_cancelled_chain_stays_so_whatever_becomes_of_its_jobs() -> None:
    tale = Tale(a_beginning(), a_chain_cancel())
    assert tale.cancels == [JOB]
    tale.hear(*images(range(7)), an_event("completed"))
    assert (tale.asked, tale.chain.state, tale.step(0).state) == ([], "cancelled", "completed")
    tale.hear(a_resume())
    assert (tale.asked, tale.chain.state) == (["lora_training"], "running")


def test_what_a_cancelled_job_says_of_itself_is_believed() -> None:
    tale = Tale(a_beginning(), a_chain_cancel())
    tale.hear(a_failure(code="cancelled"))
    assert tale.step(0).state == "cancelled"
    tale.hear(a_failure(code="provider_failed"))
    assert (tale.step(0).state, tale.chain.state) == ("failed", "cancelled")


def test_a_cancel_before_the_request_stops_its_job_when_it_comes() -> None:
    tale = Tale(a_chain_cancel(), a_beginning())
    assert (tale.cancels, tale.states()) == ([JOB], "cancelled: cwww")


@pytest.mark.parametrize("early", [True, False])
def test_another_tenants_commands_change_nothing(early: bool) -> None:
    tale = Tale(a_chain_cancel(tenant="other"), a_beginning()) if early else Tale(a_beginning())
    before = tale.chain
    tale.hear(a_chain_cancel(tenant="other"), a_resume(tenant="other"))
    assert (tale.stored, tale.cancels) == (before, [])
    assert tale.states() == "running: rwww"


def test_a_completed_chain_cannot_be_stopped() -> None:
    tale = with_lora()
    tale.hear(tale.done(2), tale.done(3), a_chain_cancel())
    assert (tale.cancels, tale.chain.state) == ([], "completed")


def test_a_sheet_is_resumed_with_the_missing_images_and_trained_on_with_all() -> None:
    tale = Tale(a_beginning(), *images([0, 2, 3, 6]), a_failure(), a_resume())
    asked = sheet_asked(tale)
    assert (asked.only, asked.count, asked.character, asked.character_id) == ((1, 4, 5), 7, None, JOB)
    again = tale.requests[-1].job_id
    assert (again, tale.states()) == (job_id_of(JOB, 0, 2), "running: rwww")
    tale.hear(*images(range(3), again), tale.done(0))
    trained_on = training_asked(tale)
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
    tale = Tale(a_beginning(request={"only": (1, 2, 3, 4, 5)}), a_failure(), a_resume())
    assert sheet_asked(tale).only == (1, 2, 3, 4, 5)
    tale = Tale(a_beginning(), a_failure(), a_resume())
    assert sheet_asked(tale).only == ()


def test_a_sheet_whose_tries_have_all_images_together_is_completed() -> None:
    tale = Tale(a_beginning(), *images(range(4)), a_failure(), a_resume())
    tale.hear(*images(range(3), tale.job(0)), tale.lost(0))
    assert (tale.asked, tale.step(0).state) == (["lora_training"], "completed")


def test_a_sheet_whose_tries_have_enough_images_together_is_completed_once_none_of_them_runs() -> None:
    tale = Tale(a_beginning(), *images(range(4)), a_failure(), a_resume())
    again = tale.job(0)
    tale.hear(*images(range(2), again))
    assert (tale.asked, tale.step(0).state) == ([], "running"), "the last one may still come"
    tale.hear(tale.lost(0))
    assert (tale.asked, tale.step(0).state, tale.step(0).error) == (["lora_training"], "completed", None)
    assert len(training_asked(tale).images) == 6


def test_a_sheet_that_was_stopped_is_resumed_although_it_has_enough_images() -> None:
    tale = Tale(a_beginning(), *images(range(6)), a_failure(code="cancelled"))
    assert (tale.asked, tale.chain.state) == ([], "failed")
    assert sheet_asked(tale.hear(a_resume())).only == (6,)


def test_a_sheet_that_was_too_small_is_resumed_with_the_other_poses() -> None:
    tale = trained(delivered=3).hear(a_resume())
    assert sheet_asked(tale).only == (3, 4, 5, 6)
    assert tale.states() == "running: rwww"
    tale.hear(*images(range(1), tale.job(0)), tale.done(0))
    assert (tale.asked, len(training_asked(tale).images)) == (["lora_training"], 4)


def test_few_poses_that_were_asked_for_are_filled_up_when_resumed() -> None:
    tale = Tale(a_beginning(request={"only": (6, 5)}), *images(range(2)), an_event("completed"), a_resume())
    assert sheet_asked(tale).only == (0, 1, 2, 3, 4)


def test_images_are_those_of_the_poses_in_their_order_however_these_were_asked_for() -> None:
    tale = Tale(a_beginning(request={"only": (6, 2, 4)}), *images([0, 2]), a_failure(), a_resume())
    assert tale.step(0).images == (f"{JOB}/0", f"{JOB}/2")
    assert sheet_asked(tale).only == (4,)


def test_a_failed_training_is_tried_again_under_another_id() -> None:
    tale = trained()
    first = tale.requests[-1]
    tale.hear(tale.lost(1), a_resume())
    again = tale.requests[-1]
    assert (again.request, tale.states()) == (first.request, "running: crww")
    assert [each.job_id for each in tale.step(1).tries] == [first.job_id, again.job_id]


def test_only_what_did_not_end_well_is_tried_again() -> None:
    tale = with_lora()
    tale.hear(tale.done(3), tale.lost(2), a_resume())
    assert (tale.asked, tale.states()) == (["studio"], "running: ccrc")


def test_a_step_that_failed_is_tried_again_also_while_others_run() -> None:
    tale = with_lora()
    tale.hear(tale.lost(2), a_resume())
    assert (tale.asked, tale.states()) == (["studio"], "running: ccrr")


def test_a_cancelled_chain_goes_on_with_what_was_stopped() -> None:
    tale = with_lora().hear(a_chain_cancel(20), a_resume(30))
    assert (tale.asked, tale.states()) == (["studio", "profile_pictures"], "running: ccrr")
    tale.hear(a_chain_cancel(40))
    assert tale.cancels == [tale.job(2), tale.job(3)]
    assert tale.chain.state == "cancelled"


def test_a_resumption_that_overtakes_the_failure_is_not_lost() -> None:
    tale = Tale(a_beginning(), a_resume(30))
    assert tale.requests == []
    tale.hear(a_failure(seconds=29))
    assert (tale.asked, tale.states()) == (["character_sheet"], "running: rwww")


def test_what_fails_after_the_resumption_waits_for_another() -> None:
    tale = Tale(a_beginning(), a_failure(seconds=10), a_resume(30))
    tale.hear(tale.lost(0, seconds=31))
    assert (tale.asked, tale.chain.state) == ([], "failed")
    assert tale.hear(a_resume(40)).asked == ["character_sheet"]


def test_a_resumption_brings_a_step_one_more_try_whatever_the_clocks_say() -> None:
    tale = Tale(a_beginning(), a_failure(seconds=10), a_resume(3000))
    tale.hear(tale.lost(0, seconds=40))
    assert (tale.asked, len(tale.step(0).tries)) == ([], 2)


def test_a_failure_that_was_seen_is_tried_again_although_its_clock_was_ahead() -> None:
    tale = Tale(a_beginning(), a_failure(seconds=10), a_resume(5))
    assert tale.asked == ["character_sheet"]


def test_a_resumption_that_comes_again_asks_for_nothing() -> None:
    tale = Tale(a_beginning(), a_failure(), a_resume())
    tale.hear(tale.lost(0, seconds=50))
    before = tale.chain
    assert tale.hear(a_resume()).stored is before


def test_commands_that_overtook_each_other_are_told_apart_by_their_time() -> None:
    late_cancel = with_lora().hear(a_resume(30), a_chain_cancel(20))
    assert (late_cancel.cancels, late_cancel.chain.state) == ([], "running")
    late_resume = with_lora().hear(a_chain_cancel(30), a_resume(20))
    assert (late_resume.asked, late_resume.chain.state) == ([], "cancelled")


def test_a_try_that_ends_well_after_all_stops_the_one_that_replaced_it() -> None:
    tale = Tale(a_beginning(then=(StudioFollowUp(),)), a_chain_cancel(20), a_resume(30))
    again = tale.job(0)
    tale.hear(an_event("completed"))
    assert (tale.cancels, tale.asked, tale.states()) == ([again], ["studio"], "running: cr")


def test_a_training_that_makes_no_sense_is_not_tried_again() -> None:
    wrong = a_beginning().then
    tale = Tale(a_beginning(then=(wrong[1], wrong[0])), *images(range(7)), an_event("completed"))
    tale.hear(tale.done(1), a_resume())
    assert (tale.asked, tale.chain.state) == ([], "failed")
