"""A chain advances from step to step by the ends of its jobs."""

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
from tests.unit.characters.chain_harness import ChainHarness, trained, with_lora


def test_a_request_with_follow_ups_begins_a_chain_that_waits_for_it() -> None:
    harness = ChainHarness(a_beginning())
    assert (harness.chain.chain_id, harness.chain.character_id, harness.chain.user_id) == (JOB, JOB, "ann")
    assert harness.states() == "running: rwww"
    assert [step.type for step in harness.chain.steps] == [
        "character_sheet",
        "lora_training",
        "studio",
        "profile_pictures",
    ]
    assert (harness.job(0), harness.requests) == (JOB, [])


def test_a_finished_sheet_is_trained_on_with_its_captions() -> None:
    harness = trained()
    (asked,) = harness.requests
    assert (asked.chain_id, asked.tenant, asked.user_id, asked.then) == (JOB, "acme", "ann", ())
    request = asked.request
    assert isinstance(request, LoraTrainingRequest)
    assert request.images == tuple(f"{JOB}/{index}" for index in range(7))
    assert request.character_id == JOB
    assert request.trigger_word == trigger_word(JOB)
    assert request.captions[3] == f"{trigger_word(JOB)}, pose 3"
    assert request.steps == 900
    assert harness.states() == "running: crww"


def test_options_of_the_training_step_are_in_its_request() -> None:
    wish = TrainingFollowUp(steps=1500, provider="fal")
    harness = ChainHarness(a_beginning(then=(wish,)), *images(range(7)), an_event("completed"))
    request = harness.requests[0].request
    assert isinstance(request, LoraTrainingRequest)
    assert (request.steps, request.provider) == (1500, "fal")


def test_pictures_follow_the_lora_side_by_side() -> None:
    harness = with_lora()
    assert harness.states() == "running: ccrr"
    studio, profile = harness.requests[1].request, harness.requests[2].request
    assert isinstance(studio, StudioRequest)
    assert (studio.scene, studio.count, studio.character_id) == ("beach", 2, JOB)
    assert isinstance(profile, ProfilePicturesRequest)
    assert (profile.set_id, profile.character_id) == ("dating", JOB)


def test_pictures_may_follow_a_sheet_without_a_training() -> None:
    harness = ChainHarness(a_beginning(then=(StudioFollowUp(), StudioFollowUp())), an_event("completed"))
    assert (harness.asked, harness.states()) == (["studio", "studio"], "running: crr")


def test_pictures_may_follow_a_training_that_was_requested_directly() -> None:
    training = {
        "type": "lora_training",
        "character_id": CHARACTER,
        "images": [f"{JOB}/{index}" for index in range(4)],
        "trigger_word": "mia7",
    }
    begun = a_beginning(then=(StudioFollowUp(),)).model_dump() | {"request": training}
    harness = ChainHarness(type(a_beginning()).model_validate(begun))
    assert harness.chain.character_id == CHARACTER
    assert harness.receive(harness.completed(0)).asked == ["studio"]


def test_a_chain_is_completed_when_all_of_its_steps_are() -> None:
    harness = with_lora()
    harness.receive(harness.completed(2))
    assert harness.states() == "running: cccr"
    harness.receive(harness.completed(3))
    assert harness.states() == "completed: cccc"
    assert harness.chain.finished_at is not None


def test_a_chain_fails_once_a_step_failed_and_nothing_runs() -> None:
    harness = with_lora()
    harness.receive(harness.failed(2))
    assert harness.states() == "running: ccfr"
    harness.receive(harness.completed(3))
    assert harness.states() == "failed: ccfc"
    error = harness.step(2).error
    assert error is not None
    assert error.code == "provider_failed"


def test_nothing_follows_a_step_that_failed() -> None:
    harness = ChainHarness(a_beginning(), a_failure())
    assert (harness.requests, harness.states()) == ([], "failed: fwww")


def test_a_rejected_request_fails_its_chain() -> None:
    harness = ChainHarness(a_beginning(), a_failure(code="rejected"))
    error = harness.step(0).error
    assert error is not None
    assert (error.code, harness.chain.state) == ("rejected", "failed")


@pytest.mark.parametrize("then", [(StudioFollowUp(), TrainingFollowUp()), (TrainingFollowUp(),) * 2])
def test_a_training_without_a_sheet_right_before_it_is_a_failed_step(
    then: tuple[StudioFollowUp | TrainingFollowUp, ...],
) -> None:
    harness = ChainHarness(a_beginning(then=then), *images(range(7)), an_event("completed"))
    harness.receive(harness.completed(1))
    error = harness.step(2).error
    assert error is not None
    assert (error.code, harness.chain.state) == ("no_sheet", "failed")
    assert harness.requests[0].request.type == then[0].type
    assert len(harness.requests) == 1


@pytest.mark.parametrize("kind", ["base_image", "studio"])
def test_a_chain_of_impossible_steps_ends_with_its_first_job(kind: GenerationType) -> None:
    request = {"type": kind, "character": MARA}
    begun = a_beginning(then=(TrainingFollowUp(),)).model_dump() | {"request": request}
    harness = ChainHarness(type(a_beginning()).model_validate(begun))
    assert harness.states() == "running: rf"
    assert harness.receive(harness.failed(0, code="rejected")).states() == "failed: ff"
    assert harness.requests == []


def test_a_sheet_that_is_too_small_to_train_on_fails_its_step() -> None:
    harness = trained(delivered=3)
    error = harness.step(0).error
    assert error is not None
    assert (error.code, harness.states()) == ("too_few_images", "failed: fwww")
    assert "3 images are ready; a training needs at least 4" in error.message


def test_a_small_sheet_completes_its_step_if_no_training_follows() -> None:
    harness = ChainHarness(a_beginning(then=(StudioFollowUp(),)), an_image(0), an_event("completed"))
    assert harness.states() == "running: cr"


def test_the_same_request_again_changes_nothing() -> None:
    harness = trained()
    before = harness.chain
    harness.receive(a_beginning())
    assert (harness.stored, harness.asked) == (before, [])


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
    harness = ChainHarness(a_beginning())
    with pytest.raises(ChainIdConflict):
        harness.receive(a_beginning(**another))


@pytest.mark.parametrize("early", [True, False])
def test_a_chain_whose_job_id_is_taken_fails_and_goes_on_under_another_when_resumed(early: bool) -> None:
    harness = (
        ChainHarness(a_conflict(), a_beginning()) if early else ChainHarness(a_beginning(), a_conflict())
    )
    error = harness.step(0).error
    assert error is not None
    assert (error.code, error.message, harness.states()) == ("job_id_conflict", "it is taken", "failed: fwww")
    assert harness.receive(a_conflict(tenant="other"), a_resume()).asked == ["character_sheet"]
    assert (harness.job(0), harness.states()) == (job_id_of(JOB, 0, 2), "running: rwww")


@pytest.mark.parametrize("fields", [{"job_id": uuid7()}, {"tenant": "other"}])
def test_jobs_that_are_no_try_of_a_step_change_nothing(fields: dict[str, Any]) -> None:
    harness = ChainHarness(a_beginning())
    before = harness.chain
    harness.receive(an_event("completed", **fields), an_image(0, **fields))
    assert (harness.stored, harness.requests) == (before, [])


def test_events_of_the_first_job_may_arrive_before_the_request() -> None:
    early = ChainHarness(*images(range(7)), an_event("completed"))
    assert early.chain.request is None
    early.receive(a_beginning())
    assert (early.asked, early.chain.early, early.states()) == (["lora_training"], (), "running: crww")


def test_the_number_of_jobs_remembered_of_a_chain_before_its_request_is_limited() -> None:
    harness = ChainHarness(*(an_event("completed", uuid7()) for _ in range(MAX_EARLY)))
    before = harness.chain
    assert len(before.early) == MAX_EARLY
    assert harness.receive(an_event("completed", uuid7())).stored is before


def test_another_tenants_events_do_not_block_a_chain() -> None:
    harness = ChainHarness(an_event("completed", tenant="other"), a_beginning())
    assert (harness.chain.tenant, harness.states()) == ("acme", "running: rwww")


def test_the_webhook_and_the_user_of_the_request_are_those_of_all_its_jobs() -> None:
    harness = ChainHarness(a_beginning(notify={"webhook_url": "https://a.example"}))
    harness.receive(*images(range(7)), an_event("completed")).receive(harness.completed(1))
    assert len(harness.requests) == 3
    assert {each.notify.webhook_url for each in harness.requests} == {"https://a.example"}


def test_the_ids_of_its_jobs_follow_from_the_chains_id() -> None:
    assert [each.job_id for each in with_lora().requests] == [
        job_id_of(JOB, 1, 1),
        job_id_of(JOB, 2, 1),
        job_id_of(JOB, 3, 1),
    ]
    assert with_lora().requests == with_lora().requests


def test_a_selection_stands_for_a_sheet_and_the_training_on_it() -> None:
    asked = a_selection(include_nsfw=True).sheet
    assert asked.job_id == asked.chain == a_selection().chain_id
    assert asked.character_id == CHARACTER
    assert asked.then == (TrainingFollowUp(),)
    request = asked.request
    assert isinstance(request, CharacterSheetRequest)
    assert (request.base_image_id, request.include_nsfw, request.count) == (FACE, True, 7)
    assert a_selection(then=[{"type": "studio"}]).sheet.then == (StudioFollowUp(),)
