"""A character created by its description is stored once, before or after its face is selected."""

from itertools import permutations

import pytest

from contracts.generation import GenerationRequested
from prompts.trigger_words import trigger_word
from services.characters.records import CharacterIdConflict, CharacterMessage
from tests.fakes.builders import CHARACTER, after
from tests.fakes.characters import FACE, MARA, a_creation, a_lora, a_selection, a_sheet
from tests.unit.characters.record_harness import RecordHarness

TIMES = {"created_at", "updated_at"}


def test_a_creation_stores_the_character_and_requests_no_job() -> None:
    harness = RecordHarness(a_creation())
    assert harness.outputs == []
    assert (harness.record.character_id, harness.record.user_id) == (CHARACTER, "ann")
    assert harness.record.character == MARA.model_copy(update={"trigger_word": trigger_word(CHARACTER)})
    assert (harness.record.selected_at, harness.record.lora_state) == (None, "none")


def test_an_id_of_any_kind_has_a_trigger_word() -> None:
    assert RecordHarness(a_creation(character_id="auth0|é 1")).record.character.trigger_word


def test_the_same_creation_again_changes_nothing() -> None:
    harness = RecordHarness(a_creation())
    before = harness.record
    assert harness.receive(a_creation(created_at=after(5))).record is before


def test_another_description_under_the_same_id_is_a_conflict() -> None:
    harness = RecordHarness(a_creation())
    with pytest.raises(CharacterIdConflict):
        harness.receive(a_creation(character=MARA.model_copy(update={"age": 30})))


def test_a_face_may_be_selected_before_or_after_the_creation_is_read() -> None:
    ida = MARA.model_copy(update={"name": "Ida"})
    messages: tuple[CharacterMessage, ...] = (
        a_creation(character=ida),
        a_selection(),
        a_sheet(),
        a_lora(),
    )
    records = []
    for order in permutations(messages):
        if order.index(messages[1]) < order.index(messages[2]) < order.index(messages[3]):
            harness = RecordHarness(*order)
            assert harness.record.character.base_image_id == FACE
            records.append(harness.record.model_dump(exclude=TIMES))
    assert len(records) == 4
    assert all(record == records[0] for record in records)


def test_a_created_character_gets_its_face_and_its_sheet_by_a_selection() -> None:
    [asked] = RecordHarness(a_creation()).receive(a_selection()).outputs
    assert isinstance(asked, GenerationRequested)
    assert asked.character_id == CHARACTER


def test_chains_of_two_tenants_with_the_same_character_id_have_ids_of_their_own() -> None:
    ours, theirs = a_selection(character_id="char-123"), a_selection(character_id="char-123", tenant="other")
    assert ours.chain_id != theirs.chain_id
    assert ours.chain_id == a_selection(character_id="char-123").chain_id
