"""A LoRA is of a face: another face leaves it behind, whenever which news are heard."""

from itertools import permutations
from typing import cast

from contracts.chains import LoraFailed, LoraReady
from contracts.characters import character_key
from services.characters.chosen_faces import MAX_FACES
from services.characters.records import CharacterMessage
from services.characters.trainings import ANOTHER_FACE
from services.dispatcher.loras import MongoLoras
from services.dispatcher.waiting import KnownLora
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
from tests.unit.characters.memory import Memory

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


async def as_the_dispatcher_reads(memory: Memory) -> KnownLora:
    document = {"_id": character_key(*MIA)} | memory.record.model_dump()
    empty = cast(Collection, FakeCollection())
    loras = MongoLoras(cast(Collection, FakeCollection(document)), empty, empty)
    return (await loras.of([MIA]))[MIA]


async def test_another_face_has_no_lora_and_no_failure_of_the_one_before_it() -> None:
    for training in (OF_THE_FIRST, a_failure(OF_THE_FIRST.job_id, type="lora_training", seconds=40)):
        memory = Memory(a_selection(), training.model_copy(update={"character_id": CHARACTER})).hear(SECOND)
        assert memory.record.character.base_image_id == f"{FACES}/2"
        assert (memory.record.lora_state, len(memory.record.trainings)) == ("none", 1)
        choices = frozenset(face.chain_id for face in memory.record.faces)
        assert await as_the_dispatcher_reads(memory) == KnownLora(choices=choices)


def test_the_lora_is_that_of_the_present_face_in_any_order() -> None:
    news: tuple[CharacterMessage, ...] = (SECOND, OF_THE_FIRST, OF_THE_SECOND, LATE_OF_THE_FIRST)
    for order in permutations(news):
        memory = Memory(a_selection(), *order)
        assert memory.lora is not None
        assert (memory.lora.key, memory.record.lora_state) == ("acme/second", "ready")


def test_what_ends_for_a_face_that_is_no_more_is_answered_by_what_there_is() -> None:
    memory = Memory(a_selection(), SECOND)
    (failed,) = memory.hear(OF_THE_FIRST).said
    assert isinstance(failed, LoraFailed)
    assert (failed.reason, memory.lora, memory.record.lora_state) == (ANOTHER_FACE, None, "none")
    (ready,) = memory.hear(OF_THE_SECOND).said
    assert isinstance(ready, LoraReady)
    (late,) = memory.hear(LATE_OF_THE_FIRST).said
    assert isinstance(late, LoraReady)
    assert late.lora == ready.lora == memory.lora


def test_the_same_face_again_keeps_its_lora_and_takes_back_that_of_its_chain() -> None:
    memory = Memory(a_selection(), OF_THE_FIRST, FIRST_AGAIN)
    assert memory.lora is not None
    memory = Memory(a_selection(), SECOND, LATE_OF_THE_FIRST, FIRST_AGAIN)
    assert memory.lora is not None
    assert memory.lora.key == "acme/late"


def test_a_lora_that_another_face_left_behind_is_not_brought_back_by_describing_it() -> None:
    memory = Memory(a_selection(), OF_THE_FIRST)
    memory.hear(SECOND.model_copy(update={"character": memory.record.character}))
    assert memory.lora is None


def test_a_described_character_that_gets_another_face_leaves_its_chains_lora_behind() -> None:
    chosen = SECOND.model_copy(update={"character_id": JOB, "selected_at": after(70)})
    trained = a_lora(seconds=LATE.total_seconds(), elapsed_seconds=10, character_id=JOB, chain_id=JOB)
    news: tuple[CharacterMessage, ...] = (chosen, trained)
    for order in permutations(news):
        assert Memory(a_beginning(), *order).lora is None


def test_only_the_newest_choices_are_remembered() -> None:
    many = [a_selection(selected_at=after(place)) for place in range(MAX_FACES + 5)]
    memory = Memory(*many, a_training_event("accepted", seconds=100, elapsed_seconds=10))
    assert (len(memory.record.faces), memory.record.lora_state) == (MAX_FACES, "training")
