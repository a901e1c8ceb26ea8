"""Which LoRA a character has, and what is told of its trainings."""

from itertools import permutations

import pytest

from contracts.chains import LoraFailed, LoraReady
from services.characters.trainings import MAX_TRAININGS
from shared.ids import uuid7
from tests.fakes.builders import CHARACTER, after
from tests.fakes.characters import TRAINING, a_lora, a_selection, a_training_event
from tests.unit.characters.memory import Memory

OTHER = "0195940a-0000-7000-8000-000000007a12"


def test_a_training_makes_the_characters_lora() -> None:
    memory = Memory(a_selection(), a_training_event("accepted"), a_training_event("started"))
    assert (memory.record.lora_state, memory.said[1:]) == ("training", [])
    (ready,) = memory.hear(a_lora(seconds=100)).said
    assert isinstance(ready, LoraReady)
    assert ready.lora == memory.lora
    assert (ready.lora.key, ready.lora.trigger_word, ready.lora.providers) == (
        "acme/lora",
        "qdvhzmwn",
        ("modal", "fal"),
    )
    assert (ready.job_id, ready.character_id, ready.at) == (TRAINING, CHARACTER, after(100))
    assert memory.record.lora_state == "ready"


def test_a_lora_of_an_unknown_base_model_is_used_where_it_was_trained() -> None:
    memory = Memory(a_selection(), a_lora(stored={"base_model": "sdxl", "provider": "modal"}))
    assert memory.lora is not None
    assert memory.lora.providers == ("modal",)


def test_a_failed_training_is_told_and_leaves_an_older_lora_usable() -> None:
    memory = Memory(a_selection(), a_lora(seconds=10, elapsed_seconds=5))
    (failed,) = memory.hear(a_training_event("failed", OTHER, seconds=20, elapsed_seconds=5)).said
    assert isinstance(failed, LoraFailed)
    assert (failed.job_id, failed.reason) == (OTHER, "no reason is known")
    assert (memory.record.lora_state, memory.record.lora_error) == ("failed", "no reason is known")
    assert memory.record.lora_failed_at == after(20)
    assert memory.lora is not None


def test_news_of_a_training_that_come_again_change_and_say_nothing() -> None:
    memory = Memory(a_selection(), a_lora())
    before = memory.record
    memory.hear(a_lora(), a_training_event("failed"), a_training_event("accepted"))
    assert (memory.stored, memory.said) == (before, [])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_lora_is_that_of_the_training_that_was_asked_for_last(order: tuple[int, ...]) -> None:
    news = [
        a_lora(TRAINING, key="acme/old", seconds=500, elapsed_seconds=490),
        a_lora(OTHER, key="acme/new", seconds=300, elapsed_seconds=100),
        a_training_event("accepted", TRAINING, seconds=11, elapsed_seconds=1),
        a_training_event("accepted", OTHER, seconds=201, elapsed_seconds=1),
    ]
    memory = Memory(a_selection())
    ready: dict[str, LoraReady] = {}
    for place in order:
        memory.hear(news[place])
        ready |= {each.job_id: each for each in memory.said if isinstance(each, LoraReady)}
    assert memory.lora is not None
    assert (memory.lora.key, memory.record.lora_state) == ("acme/new", "ready")
    assert set(ready) == {TRAINING, OTHER}, "each training is answered"
    assert ready[OTHER].lora.key == "acme/new"


def test_while_a_training_runs_an_older_failure_is_not_the_last_word() -> None:
    memory = Memory(a_selection(), a_training_event("accepted", OTHER, seconds=20, elapsed_seconds=1))
    memory.hear(a_training_event("failed", seconds=30, elapsed_seconds=29))
    assert (memory.record.lora_state, memory.record.lora_error) == ("training", None)
    assert memory.record.lora_failed_at is None
    memory.hear(a_training_event("failed", OTHER, seconds=25, elapsed_seconds=6))
    assert memory.record.lora_failed_at == after(30), "the last of all that failed"


def test_a_training_of_an_unknown_character_is_not_kept() -> None:
    assert Memory(a_lora(character_id=uuid7())).stored is None


def test_only_the_newest_trainings_are_remembered() -> None:
    many = [a_training_event("accepted", uuid7(), seconds=place) for place in range(MAX_TRAININGS + 5)]
    memory = Memory(a_selection(), *many)
    assert len(memory.record.trainings) == MAX_TRAININGS
