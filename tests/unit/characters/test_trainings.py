"""The LoRA of a character, and the announcements of its trainings."""

from itertools import permutations

import pytest

from contracts.chains import LoraFailed, LoraReady
from services.characters.trainings import MAX_TRAININGS
from shared.ids import uuid7
from tests.fakes.builders import CHARACTER, after
from tests.fakes.characters import TRAINING, a_lora, a_selection, a_training_event
from tests.unit.characters.record_harness import RecordHarness

OTHER = "0195940a-0000-7000-8000-000000007a12"


def test_a_training_makes_the_characters_lora() -> None:
    harness = RecordHarness(a_selection(), a_training_event("accepted"), a_training_event("started"))
    assert (harness.record.lora_state, harness.outputs[1:]) == ("training", [])
    (ready,) = harness.receive(a_lora(seconds=100)).outputs
    assert isinstance(ready, LoraReady)
    assert ready.lora == harness.lora
    assert (ready.lora.key, ready.lora.trigger_word, ready.lora.providers) == (
        "acme/lora",
        "qdvhzmwn",
        ("modal", "fal"),
    )
    assert (ready.job_id, ready.character_id, ready.at) == (TRAINING, CHARACTER, after(100))
    assert harness.record.lora_state == "ready"


def test_a_lora_of_an_unknown_base_model_is_used_where_it_was_trained() -> None:
    harness = RecordHarness(a_selection(), a_lora(stored={"base_model": "sdxl", "provider": "modal"}))
    assert harness.lora is not None
    assert harness.lora.providers == ("modal",)


def test_a_failed_training_is_announced_and_leaves_an_older_lora_usable() -> None:
    harness = RecordHarness(a_selection(), a_lora(seconds=10, elapsed_seconds=5))
    (failed,) = harness.receive(a_training_event("failed", OTHER, seconds=20, elapsed_seconds=5)).outputs
    assert isinstance(failed, LoraFailed)
    assert (failed.job_id, failed.reason) == (OTHER, "no reason is known")
    assert (harness.record.lora_state, harness.record.lora_error) == ("failed", "no reason is known")
    assert harness.record.lora_failed_at == after(20)
    assert harness.lora is not None


def test_repeated_events_of_a_training_change_and_publish_nothing() -> None:
    harness = RecordHarness(a_selection(), a_lora())
    before = harness.record
    harness.receive(a_lora(), a_training_event("failed"), a_training_event("accepted"))
    assert (harness.stored, harness.outputs) == (before, [])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_lora_is_that_of_the_training_requested_last(order: tuple[int, ...]) -> None:
    news = [
        a_lora(TRAINING, key="acme/old", seconds=500, elapsed_seconds=490),
        a_lora(OTHER, key="acme/new", seconds=300, elapsed_seconds=100),
        a_training_event("accepted", TRAINING, seconds=11, elapsed_seconds=1),
        a_training_event("accepted", OTHER, seconds=201, elapsed_seconds=1),
    ]
    harness = RecordHarness(a_selection())
    ready: dict[str, LoraReady] = {}
    for place in order:
        harness.receive(news[place])
        ready |= {each.job_id: each for each in harness.outputs if isinstance(each, LoraReady)}
    assert harness.lora is not None
    assert (harness.lora.key, harness.record.lora_state) == ("acme/new", "ready")
    assert set(ready) == {TRAINING, OTHER}, "each training is answered"
    assert ready[OTHER].lora.key == "acme/new"


def test_while_a_training_runs_an_older_failure_does_not_count() -> None:
    harness = RecordHarness(a_selection(), a_training_event("accepted", OTHER, seconds=20, elapsed_seconds=1))
    harness.receive(a_training_event("failed", seconds=30, elapsed_seconds=29))
    assert (harness.record.lora_state, harness.record.lora_error) == ("training", None)
    assert harness.record.lora_failed_at is None
    harness.receive(a_training_event("failed", OTHER, seconds=25, elapsed_seconds=6))
    assert harness.record.lora_failed_at == after(30), "the last of all that failed"


def test_a_training_of_an_unknown_character_is_not_kept() -> None:
    assert RecordHarness(a_lora(character_id=uuid7())).stored is None


def test_only_the_newest_trainings_are_kept() -> None:
    many = [a_training_event("accepted", uuid7(), seconds=place) for place in range(MAX_TRAININGS + 5)]
    harness = RecordHarness(a_selection(), *many)
    assert len(harness.record.trainings) == MAX_TRAININGS
