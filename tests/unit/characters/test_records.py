"""Faces and sheets in a character's record."""

from itertools import permutations

import pytest

from contracts.characters import Character
from contracts.generation import GenerationRequested
from contracts.requests import LoraTrainingRequest, StudioFollowUp
from prompts.trigger_words import trigger_word
from services.characters.job_images import ImagesByJob, JobImages
from services.characters.selections import UnknownBaseImage
from shared.ids import uuid7
from tests.fakes.builders import CHARACTER, JOB, after
from tests.fakes.characters import (
    FACE,
    FACES,
    MARA,
    POLICIES,
    a_beginning,
    a_lora,
    a_selection,
    a_sheet,
    a_training_event,
    faces,
)
from tests.unit.characters.record_harness import RecordHarness

OTHER = "0195940a-0000-7000-8000-000000007a12"
EAGER = POLICIES.model_copy(
    update={"training": POLICIES.training.model_copy(update={"after_sheets_outside_chains": "first"})}
)


def test_a_selection_stores_the_character_and_requests_its_sheet() -> None:
    harness = RecordHarness(a_selection())
    record = harness.record
    assert (record.character_id, record.tenant, record.user_id) == (CHARACTER, "acme", "ann")
    assert (record.character.name, record.character.base_image_id) == ("Mara", FACE)
    assert record.character.trigger_word == trigger_word(CHARACTER)
    (asked,) = harness.outputs
    assert isinstance(asked, GenerationRequested)
    assert (asked.job_id, asked.character_id) == (a_selection().chain_id, CHARACTER)


def test_the_description_of_the_selection_wins_over_that_of_the_job() -> None:
    reported = Character(name="Mara Lind", age=28, trigger_word="mara")
    harness = RecordHarness(a_selection(character=reported))
    assert (harness.record.character.name, harness.record.character.age) == ("Mara Lind", 28)
    assert harness.record.character.trigger_word == trigger_word(CHARACTER)


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (faces(tenant="other"), f"job {FACES} does not exist"),
        (faces(ready=frozenset({0, 2}), ended=True), f"job {FACES} ended without image 1"),
        (faces(ready=frozenset({0}), planned=1), f"job {FACES} has 1 images, counted from 0"),
        (faces(character=None), f"job {FACES} does not describe its character; send 'character' as well"),
    ],
)
def test_an_image_that_will_never_be_ready_cannot_be_selected(job: JobImages, why: str) -> None:
    with pytest.raises(UnknownBaseImage) as raised:
        RecordHarness(a_selection(), drawn={FACES: job})
    assert raised.value.why == why


@pytest.mark.parametrize("drawn", [{}, {FACES: faces(ready=frozenset({0, 2}))}])
def test_a_selection_changes_nothing_while_its_image_may_still_become_ready(drawn: ImagesByJob) -> None:
    harness = RecordHarness(a_selection(), drawn=drawn)
    assert (harness.stored, harness.outputs) == (None, [])


def test_an_image_of_another_tenant_cannot_be_chosen_by_describing_it() -> None:
    with pytest.raises(UnknownBaseImage):
        RecordHarness(a_selection(character=MARA), drawn={FACES: faces(tenant="other")})
    RecordHarness(a_selection(character=MARA), drawn={FACES: faces(character=None)})


def test_a_selection_older_than_the_present_one_gets_its_sheet_and_changes_nothing() -> None:
    harness = RecordHarness(a_selection(base_image_id=f"{FACES}/2", selected_at=after(50)))
    before = harness.record
    harness.receive(a_selection())
    assert (harness.record.character, harness.record.selected_at) == (before.character, before.selected_at)
    assert [type(each) for each in harness.outputs] == [GenerationRequested]


def test_the_character_of_a_chains_request_is_stored_under_the_chains_id() -> None:
    harness = RecordHarness(a_beginning())
    record = harness.record
    assert (record.character_id, record.user_id, harness.outputs) == (JOB, "ann", [])
    assert record.character.base_image_id == FACE
    assert record.character.trigger_word == trigger_word(JOB)
    before = harness.record
    assert harness.receive(a_beginning()).stored is before


def test_a_request_about_a_stored_character_does_not_describe_it() -> None:
    request = {"character": None, "character_id": CHARACTER}
    assert RecordHarness(a_beginning(request=request)).stored is None


def test_a_sheet_is_kept_with_the_trigger_word_in_its_captions() -> None:
    harness = RecordHarness(a_selection()).receive(a_sheet())
    sheet = harness.record.sheet
    assert sheet is not None
    assert (sheet.job_id, len(sheet.images), sheet.labels[2]) == (JOB, 7, "pose 2")
    assert sheet.captions[2] == f"{trigger_word(CHARACTER)}, pose 2"
    assert harness.outputs == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_second_sheet_replaces_the_first_even_if_it_is_read_first(swapped: bool) -> None:
    sheets = [a_sheet(at=after(60)), a_sheet(job_id=OTHER, at=after(70))]
    sheet = RecordHarness(a_selection(), *(reversed(sheets) if swapped else sheets)).record.sheet
    assert sheet is not None
    assert sheet.job_id == OTHER
    assert all(image.startswith(OTHER) for image in sheet.images)


def test_images_that_a_chain_draws_again_join_its_sheet_in_any_order() -> None:
    first = a_sheet([0, 1, 2, 3], at=after(60), chain_id=JOB)
    second = a_sheet([4, 5], OTHER, at=after(70), chain_id=JOB)
    third = a_sheet([6], uuid7(), at=after(80), chain_id=JOB)
    sheets = [
        RecordHarness(a_selection(), *order).record.sheet for order in permutations([first, second, third])
    ]
    assert sheets[0] is not None
    assert sorted(sheets[0].labels) == [f"pose {pose}" for pose in range(7)]
    assert {sheet and frozenset(sheet.images) for sheet in sheets} == {frozenset(sheets[0].images)}
    assert {sheet and sheet.job_id for sheet in sheets} == {third.job_id}


def test_poses_that_are_drawn_again_join_the_present_sheet_whoever_requests_them() -> None:
    older = a_sheet(at=after(60), chain_id=CHARACTER)
    newest = a_sheet([0, 1, 2, 3, 5], OTHER, at=after(70), chain_id=JOB)
    alone = a_sheet([4], uuid7(), at=after(80), partial=True)
    of_the_older = a_sheet([3, 6], uuid7(), at=after(90), chain_id=CHARACTER, partial=True)
    for order in permutations([older, newest, alone, of_the_older]):
        sheet = RecordHarness(a_selection(), *order).record.sheet
        assert sheet is not None
        assert sheet.job_id == of_the_older.job_id
        assert dict(zip(sheet.labels, sheet.images, strict=True)) == {
            **{f"pose {pose}": newest.images[place] for place, pose in enumerate([0, 1, 2, 3, 5])},
            "pose 4": alone.images[0],
            "pose 3": of_the_older.images[0],
            "pose 6": of_the_older.images[1],
        }


def test_a_record_from_before_parts_were_kept_gets_poses_that_are_drawn_again() -> None:
    harness = RecordHarness(a_selection(), a_sheet([0, 1, 2, 3, 4]))
    harness.stored = harness.record.model_copy(update={"sheet_parts": ()})
    harness.receive(a_sheet([5, 6], OTHER, at=after(70), partial=True))
    assert harness.record.sheet is not None
    assert len(harness.record.sheet.images) == 7


def test_a_chains_sheet_that_is_read_before_its_request_makes_the_same_record() -> None:
    sheet = a_sheet(character_id=JOB, chain_id=JOB)
    early = RecordHarness(sheet, a_beginning(), drawn={JOB: faces()})
    late = RecordHarness(a_beginning(), sheet)
    assert early.record == late.record


def test_a_sheet_of_an_unknown_character_is_not_kept() -> None:
    assert RecordHarness(a_sheet(character_id=uuid7())).stored is None


def test_a_sheet_outside_a_chain_starts_no_training_unless_the_policy_does() -> None:
    harness = RecordHarness(a_selection())
    harness.policies = EAGER
    (asked,) = harness.receive(a_sheet()).outputs
    assert isinstance(asked, GenerationRequested)
    request = asked.request
    assert isinstance(request, LoraTrainingRequest)
    assert (request.images, asked.chain, asked.then) == (a_sheet().images, None, ())
    assert harness.receive(a_sheet()).outputs == [], "the same sheet again"
    assert harness.receive(a_sheet(job_id=OTHER, at=after(70), chain_id=JOB)).outputs == [], (
        "a chain's own matter"
    )


def test_a_policy_of_first_trainings_does_not_train_again() -> None:
    for begun in (a_training_event("accepted"), a_lora()):
        harness = RecordHarness(a_selection(), begun)
        harness.policies = EAGER
        assert harness.receive(a_sheet()).outputs == []


def test_a_small_sheet_is_trained_on_once_the_missing_poses_have_joined_it() -> None:
    harness = RecordHarness(a_selection())
    harness.policies = EAGER
    assert harness.receive(a_sheet(range(3))).outputs == []
    (asked,) = harness.receive(a_sheet([3, 4], OTHER, at=after(70), partial=True)).outputs
    assert isinstance(asked, GenerationRequested)
    assert isinstance(asked.request, LoraTrainingRequest)
    assert len(asked.request.images) == len(asked.request.captions) == 5


def test_a_selection_may_name_its_follow_ups() -> None:
    (asked,) = RecordHarness(a_selection(then=[{"type": "studio", "scene": "beach"}])).outputs
    assert isinstance(asked, GenerationRequested)
    assert asked.then == (StudioFollowUp(scene="beach"),)
