"""What a character's record keeps of its choice of face and its sheets."""

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
from tests.unit.characters.memory import Memory

OTHER = "0195940a-0000-7000-8000-000000007a12"
EAGER = POLICIES.model_copy(
    update={"training": POLICIES.training.model_copy(update={"after_sheets_outside_chains": "first"})}
)


def test_a_selection_makes_the_character_and_asks_for_its_sheet() -> None:
    memory = Memory(a_selection())
    record = memory.record
    assert (record.character_id, record.tenant, record.user_id) == (CHARACTER, "acme", "ann")
    assert (record.character.name, record.character.base_image_id) == ("Mara", FACE)
    assert record.character.trigger_word == trigger_word(CHARACTER)
    (asked,) = memory.said
    assert isinstance(asked, GenerationRequested)
    assert (asked.job_id, asked.character_id) == (a_selection().chain_id, CHARACTER)


def test_what_the_selection_says_of_the_character_comes_before_what_the_job_says() -> None:
    told = Character(name="Mara Lind", age=28, trigger_word="mara")
    memory = Memory(a_selection(character=told))
    assert (memory.record.character.name, memory.record.character.age) == ("Mara Lind", 28)
    assert memory.record.character.trigger_word == trigger_word(CHARACTER)


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
        Memory(a_selection(), drawn={FACES: job})
    assert raised.value.why == why


@pytest.mark.parametrize("drawn", [{}, {FACES: faces(ready=frozenset({0, 2}))}])
def test_a_selection_changes_nothing_while_its_image_may_still_become_ready(drawn: ImagesByJob) -> None:
    memory = Memory(a_selection(), drawn=drawn)
    assert (memory.stored, memory.said) == (None, [])


def test_an_image_of_another_tenant_cannot_be_chosen_by_describing_it() -> None:
    with pytest.raises(UnknownBaseImage):
        Memory(a_selection(character=MARA), drawn={FACES: faces(tenant="other")})
    Memory(a_selection(character=MARA), drawn={FACES: faces(character=None)})


def test_a_choice_that_a_newer_one_has_overtaken_gets_its_sheet_and_changes_nothing() -> None:
    memory = Memory(a_selection(base_image_id=f"{FACES}/2", selected_at=after(50)))
    before = memory.record
    memory.hear(a_selection())
    assert (memory.record.character, memory.record.selected_at) == (before.character, before.selected_at)
    assert [type(each) for each in memory.said] == [GenerationRequested]


def test_the_character_of_a_chains_request_is_stored_under_the_chains_id() -> None:
    memory = Memory(a_beginning())
    record = memory.record
    assert (record.character_id, record.user_id, memory.said) == (JOB, "ann", [])
    assert record.character.base_image_id == FACE
    assert record.character.trigger_word == trigger_word(JOB)
    before = memory.record
    assert memory.hear(a_beginning()).stored is before


def test_a_request_about_a_stored_character_does_not_describe_it() -> None:
    request = {"character": None, "character_id": CHARACTER}
    assert Memory(a_beginning(request=request)).stored is None


def test_a_sheet_is_kept_with_its_captions_made_ready_for_a_trainer() -> None:
    memory = Memory(a_selection()).hear(a_sheet())
    sheet = memory.record.sheet
    assert sheet is not None
    assert (sheet.job_id, len(sheet.images), sheet.labels[2]) == (JOB, 7, "pose 2")
    assert sheet.captions[2] == f"{trigger_word(CHARACTER)}, pose 2"
    assert memory.said == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_second_sheet_replaces_the_first_also_when_it_is_heard_of_first(swapped: bool) -> None:
    sheets = [a_sheet(at=after(60)), a_sheet(job_id=OTHER, at=after(70))]
    sheet = Memory(a_selection(), *(reversed(sheets) if swapped else sheets)).record.sheet
    assert sheet is not None
    assert sheet.job_id == OTHER
    assert all(image.startswith(OTHER) for image in sheet.images)


def test_what_a_chain_draws_again_is_added_to_its_sheet_in_any_order() -> None:
    first = a_sheet([0, 1, 2, 3], at=after(60), chain_id=JOB)
    second = a_sheet([4, 5], OTHER, at=after(70), chain_id=JOB)
    third = a_sheet([6], uuid7(), at=after(80), chain_id=JOB)
    sheets = [Memory(a_selection(), *order).record.sheet for order in permutations([first, second, third])]
    assert sheets[0] is not None
    assert sorted(sheets[0].labels) == [f"pose {pose}" for pose in range(7)]
    assert {sheet and frozenset(sheet.images) for sheet in sheets} == {frozenset(sheets[0].images)}
    assert {sheet and sheet.job_id for sheet in sheets} == {third.job_id}


def test_poses_that_are_drawn_again_join_the_sheet_that_there_is_whoever_asks_for_them() -> None:
    older = a_sheet(at=after(60), chain_id=CHARACTER)
    newest = a_sheet([0, 1, 2, 3, 5], OTHER, at=after(70), chain_id=JOB)
    alone = a_sheet([4], uuid7(), at=after(80), partial=True)
    of_the_older = a_sheet([3, 6], uuid7(), at=after(90), chain_id=CHARACTER, partial=True)
    for order in permutations([older, newest, alone, of_the_older]):
        sheet = Memory(a_selection(), *order).record.sheet
        assert sheet is not None
        assert sheet.job_id == of_the_older.job_id
        assert dict(zip(sheet.labels, sheet.images, strict=True)) == {
            **{f"pose {pose}": newest.images[place] for place, pose in enumerate([0, 1, 2, 3, 5])},
            "pose 4": alone.images[0],
            "pose 3": of_the_older.images[0],
            "pose 6": of_the_older.images[1],
        }


def test_a_record_from_before_parts_were_kept_gets_poses_that_are_drawn_again() -> None:
    memory = Memory(a_selection(), a_sheet([0, 1, 2, 3, 4]))
    memory.stored = memory.record.model_copy(update={"sheet_parts": ()})
    memory.hear(a_sheet([5, 6], OTHER, at=after(70), partial=True))
    assert memory.record.sheet is not None
    assert len(memory.record.sheet.images) == 7


def test_a_chains_sheet_that_is_heard_of_before_its_request_makes_the_same_record() -> None:
    sheet = a_sheet(character_id=JOB, chain_id=JOB)
    early = Memory(sheet, a_beginning(), drawn={JOB: faces()})
    late = Memory(a_beginning(), sheet)
    assert early.record == late.record


def test_a_sheet_of_an_unknown_character_is_not_kept() -> None:
    assert Memory(a_sheet(character_id=uuid7())).stored is None


def test_a_sheet_outside_a_chain_trains_nothing_unless_the_policy_says_so() -> None:
    memory = Memory(a_selection())
    memory.policies = EAGER
    (asked,) = memory.hear(a_sheet()).said
    assert isinstance(asked, GenerationRequested)
    request = asked.request
    assert isinstance(request, LoraTrainingRequest)
    assert (request.images, asked.chain, asked.then) == (a_sheet().images, None, ())
    assert memory.hear(a_sheet()).said == [], "the same sheet again"
    assert memory.hear(a_sheet(job_id=OTHER, at=after(70), chain_id=JOB)).said == [], "a chain's own matter"


def test_a_policy_of_first_trainings_does_not_train_again() -> None:
    for begun in (a_training_event("accepted"), a_lora()):
        memory = Memory(a_selection(), begun)
        memory.policies = EAGER
        assert memory.hear(a_sheet()).said == []


def test_too_small_a_sheet_is_trained_on_once_the_missing_poses_have_joined_it() -> None:
    memory = Memory(a_selection())
    memory.policies = EAGER
    assert memory.hear(a_sheet(range(3))).said == []
    (asked,) = memory.hear(a_sheet([3, 4], OTHER, at=after(70), partial=True)).said
    assert isinstance(asked, GenerationRequested)
    assert isinstance(asked.request, LoraTrainingRequest)
    assert len(asked.request.images) == len(asked.request.captions) == 5


def test_a_choice_may_say_what_is_to_follow() -> None:
    (asked,) = Memory(a_selection(then=[{"type": "studio", "scene": "beach"}])).said
    assert isinstance(asked, GenerationRequested)
    assert asked.then == (StudioFollowUp(scene="beach"),)
