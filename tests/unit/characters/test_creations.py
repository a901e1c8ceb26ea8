"""A character that is created by its description: stored once, in whatever order its face is chosen."""

from itertools import permutations

import pytest

from contracts.generation import GenerationRequested
from prompts.trigger_words import trigger_word
from services.characters.records import CharacterIdConflict, CharacterMessage
from tests.fakes.builders import CHARACTER, after
from tests.fakes.characters import FACE, MARA, a_creation, a_lora, a_selection, a_sheet
from tests.unit.characters.memory import Memory

TIMES = {"created_at", "updated_at"}


def test_a_creation_stores_the_character_and_asks_for_nothing() -> None:
    memory = Memory(a_creation())
    assert memory.said == []
    assert (memory.record.character_id, memory.record.user_id) == (CHARACTER, "ann")
    assert memory.record.character == MARA.model_copy(update={"trigger_word": trigger_word(CHARACTER)})
    assert (memory.record.selected_at, memory.record.lora_state) == (None, "none")


def test_an_id_of_any_kind_has_a_trigger_word() -> None:
    assert Memory(a_creation(character_id="auth0|é 1")).record.character.trigger_word


def test_the_same_creation_again_changes_nothing() -> None:
    memory = Memory(a_creation())
    before = memory.record
    assert memory.hear(a_creation(created_at=after(5))).record is before


def test_another_description_under_the_same_id_is_a_conflict() -> None:
    memory = Memory(a_creation())
    with pytest.raises(CharacterIdConflict):
        memory.hear(a_creation(character=MARA.model_copy(update={"age": 30})))


def test_a_face_may_be_chosen_before_or_after_the_creation_is_heard_of() -> None:
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
            memory = Memory(*order)
            assert memory.record.character.base_image_id == FACE
            records.append(memory.record.model_dump(exclude=TIMES))
    assert len(records) == 4
    assert all(record == records[0] for record in records)


def test_a_created_character_gets_its_face_and_its_sheet_by_a_selection() -> None:
    [asked] = Memory(a_creation()).hear(a_selection()).said
    assert isinstance(asked, GenerationRequested)
    assert asked.character_id == CHARACTER


def test_chains_of_two_tenants_with_the_same_character_id_have_ids_of_their_own() -> None:
    ours, theirs = a_selection(character_id="char-123"), a_selection(character_id="char-123", tenant="other")
    assert ours.chain_id != theirs.chain_id
    assert ours.chain_id == a_selection(character_id="char-123").chain_id
