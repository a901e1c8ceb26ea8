"""A LoRA belongs to a face: another face does not have it, in any order of messages."""

from itertools import permutations
from typing import cast

from contracts.chains import LoraFailed, LoraReady
from contracts.characters import character_key
from services.characters.chosen_faces import MAX_FACES
from services.characters.records import CharacterMessage
from services.characters.trainings import ANOTHER_FACE
from services.dispatcher.character_reader import MongoCharacterReader
from services.dispatcher.lora_waits import CharacterState
from shared.mongo import Collection
from tests.fakes.builders import CHARACTER, JOB, MIA, after
from tests.fakes.characters import (
    FACES,
    LATE,
    a_beginning,
    a_failure,
    a_lora,
    a_selection,
    a_training_event,
)
from tests.fakes.documents import FakeCollection
from tests.unit.characters.record_harness import RecordHarness

SECOND = a_selection(base_image_id=f"{FACES}/2", selected_at=after(50))
FIRST_AGAIN = a_selection(selected_at=after(60))
OF_THE_FIRST = a_lora(key="acme/first", seconds=40, elapsed_seconds=20)
LATE_OF_THE_FIRST = a_lora(
    "0195940a-0000-7000-8000-000000007a12",
    key="acme/late",
    seconds=90,
    elapsed_seconds=20,
    chain_id=a_selection().chain_id,
)
OF_THE_SECOND = a_lora(
    "0195940a-0000-7000-8000-000000007a13",
    key="acme/second",
    seconds=80,
    elapsed_seconds=20,
    chain_id=SECOND.chain_id,
)


async def as_the_dispatcher_reads(harness: RecordHarness) -> CharacterState:
    document = {"_id": character_key(*MIA)} | harness.record.model_dump()
    empty = cast(Collection, FakeCollection())
    reader = MongoCharacterReader(cast(Collection, FakeCollection(document)), empty, empty)
    return (await reader.states([MIA]))[MIA]


async def test_another_face_has_neither_the_lora_nor_the_failure_of_the_earlier_one() -> None:
    for training in (OF_THE_FIRST, a_failure(OF_THE_FIRST.job_id, type="lora_training", seconds=40)):
        harness = RecordHarness(
            a_selection(), training.model_copy(update={"character_id": CHARACTER})
        ).receive(SECOND)
        assert harness.record.character.base_image_id == f"{FACES}/2"
        assert (harness.record.lora_state, len(harness.record.trainings)) == ("none", 1)
        choices = frozenset(face.chain_id for face in harness.record.faces)
        assert await as_the_dispatcher_reads(harness) == CharacterState(choices=choices)


def test_the_lora_is_that_of_the_present_face_in_any_order() -> None:
    news: tuple[CharacterMessage, ...] = (SECOND, OF_THE_FIRST, OF_THE_SECOND, LATE_OF_THE_FIRST)
    for order in permutations(news):
        harness = RecordHarness(a_selection(), *order)
        assert harness.lora is not None
        assert (harness.lora.key, harness.record.lora_state) == ("acme/second", "ready")


def test_a_training_of_an_earlier_face_is_answered_with_the_state_of_the_present_one() -> None:
    harness = RecordHarness(a_selection(), SECOND)
    (failed,) = harness.receive(OF_THE_FIRST).outputs
    assert isinstance(failed, LoraFailed)
    assert (failed.reason, harness.lora, harness.record.lora_state) == (ANOTHER_FACE, None, "none")
    (ready,) = harness.receive(OF_THE_SECOND).outputs
    assert isinstance(ready, LoraReady)
    (late,) = harness.receive(LATE_OF_THE_FIRST).outputs
    assert isinstance(late, LoraReady)
    assert late.lora == ready.lora == harness.lora


def test_the_same_face_again_keeps_its_lora_and_regains_that_of_its_chain() -> None:
    harness = RecordHarness(a_selection(), OF_THE_FIRST, FIRST_AGAIN)
    assert harness.lora is not None
    harness = RecordHarness(a_selection(), SECOND, LATE_OF_THE_FIRST, FIRST_AGAIN)
    assert harness.lora is not None
    assert harness.lora.key == "acme/late"


def test_a_lora_of_an_earlier_face_is_not_restored_by_a_description() -> None:
    harness = RecordHarness(a_selection(), OF_THE_FIRST)
    harness.receive(SECOND.model_copy(update={"character": harness.record.character}))
    assert harness.lora is None


def test_a_described_character_with_another_face_loses_its_chains_lora() -> None:
    chosen = SECOND.model_copy(update={"character_id": JOB, "selected_at": after(70)})
    trained = a_lora(seconds=LATE.total_seconds(), elapsed_seconds=10, character_id=JOB, chain_id=JOB)
    news: tuple[CharacterMessage, ...] = (chosen, trained)
    for order in permutations(news):
        assert RecordHarness(a_beginning(), *order).lora is None


def test_only_the_newest_selections_are_kept() -> None:
    many = [a_selection(selected_at=after(place)) for place in range(MAX_FACES + 5)]
    harness = RecordHarness(*many, a_training_event("accepted", seconds=100, elapsed_seconds=10))
    assert (len(harness.record.faces), harness.record.lora_state) == (MAX_FACES, "training")
