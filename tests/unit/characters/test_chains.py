"""A chain goes from step to step by what becomes of its jobs."""

from typing import Any

import pytest

from contracts.base import GenerationType
from contracts.requests import (
    CharacterSheetRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    StudioFollowUp,
    StudioRequest,
    TrainingFollowUp,
)
from prompts.trigger_words import trigger_word
from services.characters.chains import MAX_EARLY, ChainIdConflict
from services.characters.job_requests import job_id_of
from shared.ids import uuid7
from tests.fakes.builders import CHARACTER, JOB
from tests.fakes.characters import (
    FACE,
    MARA,
    a_beginning,
    a_conflict,
    a_failure,
    a_resume,
    a_selection,
    an_event,
    an_image,
    images,
)
from tests.unit.characters.tale import Tale, trained, with_lora


def test_a_request_with_follow_ups_begins_a_chain_that_waits_for_it() -> None:
    tale = Tale(a_beginning())
    assert (tale.chain.chain_id, tale.chain.character_id, tale.chain.user_id) == (JOB, JOB, "ann")
    assert tale.states() == "running: rwww"
    assert [step.type for step in tale.chain.steps] == [
        "character_sheet",
        "lora_training",
        "studio",
        "profile_pictures",
    ]
    assert (tale.job(0), tale.requests) == (JOB, [])


def test_a_finished_sheet_is_trained_on_with_its_captions() -> None:
    tale = trained()
    (asked,) = tale.requests
    assert (asked.chain_id, asked.tenant, asked.user_id, asked.then) == (JOB, "acme", "ann", ())
    request = asked.request
    assert isinstance(request, LoraTrainingRequest)
    assert request.images == tuple(f"{JOB}/{index}" for index in range(7))
    assert request.character_id == JOB
    assert request.trigger_word == trigger_word(JOB)
    assert request.captions[3] == f"{trigger_word(JOB)}, pose 3"
    assert request.steps == 900
    assert tale.states() == "running: crww"


def test_what_the_training_was_wished_to_be_goes_into_its_request() -> None:
    wish = TrainingFollowUp(steps=1500, provider="fal")
    tale = Tale(a_beginning(then=(wish,)), *images(range(7)), an_event("completed"))
    request = tale.requests[0].request
    assert isinstance(request, LoraTrainingRequest)
    assert (request.steps, request.provider) == (1500, "fal")


def test_pictures_follow_the_lora_side_by_side() -> None:
    tale = with_lora()
    assert tale.states() == "running: ccrr"
    studio, profile = tale.requests[1].request, tale.requests[2].request
    assert isinstance(studio, StudioRequest)
    assert (studio.scene, studio.count, studio.character_id) == ("beach", 2, JOB)
    assert isinstance(profile, ProfilePicturesRequest)
    assert (profile.set_id, profile.character_id) == ("dating", JOB)


def test_pictures_may_follow_a_sheet_without_a_training() -> None:
    tale = Tale(a_beginning(then=(StudioFollowUp(), StudioFollowUp())), an_event("completed"))
    assert (tale.asked, tale.states()) == (["studio", "studio"], "running: crr")


def test_pictures_may_follow_a_training_that_was_asked_for_by_itself() -> None:
    training = {
        "type": "lora_training",
        "character_id": CHARACTER,
        "images": [f"{JOB}/{index}" for index in range(4)],
        "trigger_word": "mia7",
    }
    begun = a_beginning(then=(StudioFollowUp(),)).model_dump() | {"request": training}
    tale = Tale(type(a_beginning()).model_validate(begun))
    assert tale.chain.character_id == CHARACTER
    assert tale.hear(tale.done(0)).asked == ["studio"]


def test_a_chain_is_completed_when_all_of_its_steps_are() -> None:
    tale = with_lora()
    tale.hear(tale.done(2))
    assert tale.states() == "running: cccr"
    tale.hear(tale.done(3))
    assert tale.states() == "completed: cccc"
    assert tale.chain.finished_at is not None


def test_a_chain_fails_once_a_step_failed_and_nothing_runs() -> None:
    tale = with_lora()
    tale.hear(tale.lost(2))
    assert tale.states() == "running: ccfr"
    tale.hear(tale.done(3))
    assert tale.states() == "failed: ccfc"
    error = tale.step(2).error
    assert error is not None
    assert error.code == "provider_failed"


def test_nothing_follows_a_step_that_failed() -> None:
    tale = Tale(a_beginning(), a_failure())
    assert (tale.requests, tale.states()) == ([], "failed: fwww")


def test_a_rejected_request_fails_its_chain() -> None:
    tale = Tale(a_beginning(), a_failure(code="rejected"))
    error = tale.step(0).error
    assert error is not None
    assert (error.code, tale.chain.state) == ("rejected", "failed")


@pytest.mark.parametrize("then", [(StudioFollowUp(), TrainingFollowUp()), (TrainingFollowUp(),) * 2])
def test_a_training_without_a_sheet_right_before_it_is_a_failed_step(
    then: tuple[StudioFollowUp | TrainingFollowUp, ...],
) -> None:
    tale = Tale(a_beginning(then=then), *images(range(7)), an_event("completed"))
    tale.hear(tale.done(1))
    error = tale.step(2).error
    assert error is not None
    assert (error.code, tale.chain.state) == ("no_sheet", "failed")
    assert tale.requests[0].request.type == then[0].type
    assert len(tale.requests) == 1


@pytest.mark.parametrize("kind", ["base_image", "studio"])
def test_a_chain_that_makes_no_sense_ends_with_its_first_job(kind: GenerationType) -> None:
    request = {"type": kind, "character": MARA}
    begun = a_beginning(then=(TrainingFollowUp(),)).model_dump() | {"request": request}
    tale = Tale(type(a_beginning()).model_validate(begun))
    assert tale.states() == "running: rf"
    assert tale.hear(tale.lost(0, code="rejected")).states() == "failed: ff"
    assert tale.requests == []


def test_a_sheet_that_is_too_small_to_train_on_is_not_good_enough() -> None:
    tale = trained(delivered=3)
    error = tale.step(0).error
    assert error is not None
    assert (error.code, tale.states()) == ("too_few_images", "failed: fwww")
    assert "3 images are ready; a training needs at least 4" in error.message


def test_a_small_sheet_is_good_enough_where_no_training_follows() -> None:
    tale = Tale(a_beginning(then=(StudioFollowUp(),)), an_image(0), an_event("completed"))
    assert tale.states() == "running: cr"


def test_the_same_request_again_changes_nothing() -> None:
    tale = trained()
    before = tale.chain
    tale.hear(a_beginning())
    assert (tale.stored, tale.asked) == (before, [])


@pytest.mark.parametrize(
    "another",
    [
        {"tenant": "other"},
        {"user_id": "bob"},
        {"job_id": uuid7(), "chain_id": JOB},
        {"request": {"count": 8}},
        {"then": (TrainingFollowUp(),)},
    ],
)
def test_another_request_under_the_chains_id_is_a_conflict(another: dict[str, object]) -> None:
    tale = Tale(a_beginning())
    with pytest.raises(ChainIdConflict):
        tale.hear(a_beginning(**another))


@pytest.mark.parametrize("early", [True, False])
def test_a_chain_whose_job_id_is_taken_fails_and_goes_on_under_another_when_resumed(early: bool) -> None:
    tale = Tale(a_conflict(), a_beginning()) if early else Tale(a_beginning(), a_conflict())
    error = tale.step(0).error
    assert error is not None
    assert (error.code, error.message, tale.states()) == ("job_id_conflict", "it is taken", "failed: fwww")
    assert tale.hear(a_conflict(tenant="other"), a_resume()).asked == ["character_sheet"]
    assert (tale.job(0), tale.states()) == (job_id_of(JOB, 0, 2), "running: rwww")


@pytest.mark.parametrize("fields", [{"job_id": uuid7()}, {"tenant": "other"}])
def test_jobs_that_are_no_try_of_a_step_change_nothing(fields: dict[str, Any]) -> None:
    tale = Tale(a_beginning())
    before = tale.chain
    tale.hear(an_event("completed", **fields), an_image(0, **fields))
    assert (tale.stored, tale.requests) == (before, [])


def test_news_of_the_first_job_may_come_before_the_request() -> None:
    early = Tale(*images(range(7)), an_event("completed"))
    assert early.chain.request is None
    early.hear(a_beginning())
    assert (early.asked, early.chain.early, early.states()) == (["lora_training"], (), "running: crww")


def test_only_so_many_jobs_of_a_chain_that_never_began_are_remembered() -> None:
    tale = Tale(*(an_event("completed", uuid7()) for _ in range(MAX_EARLY)))
    before = tale.chain
    assert len(before.early) == MAX_EARLY
    assert tale.hear(an_event("completed", uuid7())).stored is before


def test_another_tenants_news_do_not_keep_a_chain_from_beginning() -> None:
    tale = Tale(an_event("completed", tenant="other"), a_beginning())
    assert (tale.chain.tenant, tale.states()) == ("acme", "running: rwww")


def test_the_webhook_and_the_user_of_the_request_are_those_of_all_its_jobs() -> None:
    tale = Tale(a_beginning(notify={"webhook_url": "https://a.example"}))
    tale.hear(*images(range(7)), an_event("completed")).hear(tale.done(1))
    assert len(tale.requests) == 3
    assert {each.notify.webhook_url for each in tale.requests} == {"https://a.example"}


def test_the_ids_of_its_jobs_are_worked_out_from_the_chains() -> None:
    assert [each.job_id for each in with_lora().requests] == [
        job_id_of(JOB, 1, 1),
        job_id_of(JOB, 2, 1),
        job_id_of(JOB, 3, 1),
    ]
    assert with_lora().requests == with_lora().requests


def test_a_selection_is_short_for_a_sheet_and_the_training_on_it() -> None:
    asked = a_selection(include_nsfw=True).sheet
    assert asked.job_id == asked.chain == a_selection().chain_id
    assert asked.character_id == CHARACTER
    assert asked.then == (TrainingFollowUp(),)
    request = asked.request
    assert isinstance(request, CharacterSheetRequest)
    assert (request.base_image_id, request.include_nsfw, request.count) == (FACE, True, 7)
    assert a_selection(then=[{"type": "studio"}]).sheet.then == (StudioFollowUp(),)
