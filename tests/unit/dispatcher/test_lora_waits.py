"""A job that waits for its character's LoRA renders nothing before; its deadline counts from then."""

from typing import Any

import pytest

from contracts.characters import Character, Lora
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.lora_waits import CharacterState
from tests.fakes.builders import (
    CHARACTER,
    JOB,
    LORA,
    MIA,
    PATIENCE_SECONDS,
    START,
    a_cancel,
    a_plan,
    a_spec,
    a_waiting_plan,
    after,
    due,
    failed,
    progressed,
    stored,
)
from tests.unit.dispatcher.job_harness import JobHarness

READY = CharacterState(lora=LORA)
TRAINS = CharacterState()
FAILED = CharacterState(failure="the images are too much alike", failed_at=after(50))
PERSON = Character(name="Mia", age=27, trigger_word="mia_tok")


def waiting(images: int = 1, **fields: Any) -> JobHarness:
    return JobHarness(a_waiting_plan(images, **fields))


def looks(harness: JobHarness, at: float, known: CharacterState | None) -> JobHarness:
    """Make the job check, with this state of its character."""
    harness.characters = {MIA: known} if known else {}
    return harness.at(at).receive(due(after(at), character_id=CHARACTER))


def test_a_waiting_job_is_accepted_and_starts_no_attempt() -> None:
    harness = waiting(images=2)
    assert harness.events() == ["accepted"]
    assert not harness.commands()
    assert (harness.job.status, harness.job.phase, harness.event("accepted").phase) == (
        "pending",
        "waiting_for_lora",
        "waiting_for_lora",
    )
    assert [render.state for render in harness.job.renders] == ["waiting"] * 2


def test_a_waiting_job_is_due_at_once_after_it_is_stored() -> None:
    harness = JobHarness().at(3).receive(a_waiting_plan())
    assert harness.job.wake_at == after(3)


def test_a_wait_for_a_lora_lasts_at_most_as_long_as_a_training() -> None:
    harness = JobHarness().at(3).receive(a_waiting_plan())
    assert harness.job.deadline_at == after(PATIENCE_SECONDS)


def test_without_a_lora_a_waiting_job_checks_every_30_seconds() -> None:
    harness = looks(waiting(), 10, TRAINS)
    assert not harness.outputs
    assert (harness.job.phase, harness.job.wake_at) == ("waiting_for_lora", after(40))
    assert looks(harness, 40, TRAINS).job.wake_at == after(70)


def test_a_waiting_job_checks_no_later_than_at_its_deadline() -> None:
    harness = looks(waiting(), PATIENCE_SECONDS - 5, TRAINS)
    assert harness.job.wake_at == harness.job.deadline_at


@pytest.mark.parametrize(
    "others",
    [{}, {("other", CHARACTER): READY}, {("other", CHARACTER): CharacterState(None, "no", after(5))}],
)
def test_a_missing_character_or_another_tenants_leaves_the_job_waiting(others: Any) -> None:
    harness = waiting()
    harness.characters = others
    harness.at(10).receive(due(after(10), character_id=CHARACTER))
    assert not harness.outputs
    assert harness.job.wake_at == after(40)


def test_with_the_lora_every_image_starts_and_uses_it() -> None:
    harness = looks(waiting(images=3), 100, READY)
    assert harness.commands() == [f"{JOB}/{index}/1" for index in range(3)]
    assert {command.spec.lora for command in harness.only(RenderRequested)} == {LORA}
    assert {render.spec.lora for render in harness.job.renders} == {LORA}
    assert harness.job.phase == "queued"


def test_texts_begin_with_the_trigger_word_of_the_lora() -> None:
    """A LoRA may have another trigger word than the plan."""
    spec = a_spec(index=0, prompt="mia_tok, a woman", tag_prompt="mia_tok, (woman:1.2)")
    other = LORA.model_copy(update={"trigger_word": "qdvg"})
    harness = looks(waiting(renders=(spec,), character=PERSON), 100, CharacterState(other))
    (command,) = harness.only(RenderRequested)
    assert (command.spec.prompt, command.spec.tag_prompt) == ("qdvg, a woman", "qdvg, (woman:1.2)")


def test_the_deadline_of_the_type_counts_from_the_end_of_the_wait() -> None:
    harness = looks(waiting(), 800, READY)
    assert harness.job.deadline_at == harness.job.wake_at == after(800 + 300)
    (command,) = harness.only(RenderRequested)
    assert command.deadline_at == after(1100)
    assert not harness.at(1099).receive(due(after(1099))).outputs
    assert harness.at(1100).receive(due(after(1100))).events() == ["image_failed", "failed"]
    assert harness.job.error is not None
    assert harness.job.error.message == "0 of 1 images were ready after 1100 s"


def test_a_job_advances_normally_after_its_wait() -> None:
    harness = looks(waiting(images=2), 100, READY)
    harness.at(103).receive(progressed(0), failed(0), stored(1))
    assert harness.events() == ["started", "progressed", "image_ready"]
    assert harness.at(105).receive(due(after(105))).commands() == [f"{JOB}/0/2"]
    assert harness.receive(stored(0, 2)).events() == ["image_ready", "completed"]
    assert harness.event("completed").seq == harness.job.seq == 5


def test_elapsed_time_counts_from_the_request() -> None:
    harness = looks(waiting(), 100, READY)
    harness.at(110).receive(stored())
    completed = harness.event("completed")
    assert (completed.elapsed_seconds, completed.target_seconds) == (110, 15)
    assert completed.waited_seconds == harness.job.waited_seconds == 100, "the other 10 s count"
    assert harness.job.requested_at == START


def test_a_lora_that_was_ready_before_is_used_at_the_first_check() -> None:
    assert looks(waiting(), 0, READY).commands() == [f"{JOB}/0/1"]


def test_a_second_check_after_the_wait_changes_nothing() -> None:
    harness = looks(waiting(), 100, READY)
    before = harness.job
    assert not looks(harness, 101, READY).outputs
    assert harness.job is before


def test_a_failed_training_fails_the_job_with_lora_failed() -> None:
    harness = looks(waiting(images=2), 100, FAILED)
    assert harness.events() == ["image_failed", "image_failed", "failed"]
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.error.message) == (
        "lora_failed",
        "the training of the character's LoRA failed: the images are too much alike",
    )
    assert not harness.commands()


def test_a_failure_ends_the_job_only_after_five_seconds_without_another_training() -> None:
    recent = CharacterState(failure="too dark", failed_at=after(98))
    harness = looks(waiting(), 100, recent)
    assert not harness.outputs
    assert (harness.job.phase, harness.job.wake_at) == ("waiting_for_lora", after(103))
    other_runs = looks(waiting(), 103, TRAINS)
    assert other_runs.job.phase == "waiting_for_lora"
    assert looks(harness, 103, recent).job.terminal


def test_a_training_that_failed_before_the_request_does_not_end_the_job() -> None:
    for failed_at in (after(-1), None):  # None: by a record from before the time was kept
        harness = looks(waiting(), 100, CharacterState(failure="too dark", failed_at=failed_at))
        assert not harness.outputs
        assert (harness.job.phase, harness.job.wake_at) == ("waiting_for_lora", after(130))


def test_a_training_that_failed_at_the_moment_of_the_request_ends_the_job() -> None:
    harness = looks(waiting(), 100, CharacterState(failure="too dark", failed_at=after(0)))
    assert harness.events() == ["image_failed", "failed"]


def test_an_older_lora_is_used_although_its_retraining_failed() -> None:
    harness = looks(waiting(), 100, CharacterState(LORA, "cancelled", after(50)))
    assert harness.commands() == [f"{JOB}/0/1"]


def test_at_its_deadline_a_waiting_job_fails_with_the_time_it_waited() -> None:
    harness = looks(waiting(), PATIENCE_SECONDS, TRAINS)
    assert harness.events() == ["image_failed", "failed"]
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.error.message) == (
        "deadline_exceeded",
        "it waited 900 s for the character's LoRA, which is not ready",
    )


def test_a_plan_that_is_older_than_its_own_types_deadline_may_still_wait() -> None:
    harness = JobHarness().at(400).receive(a_waiting_plan())
    assert harness.events() == ["accepted"]
    assert not harness.job.terminal


def test_a_plan_that_is_older_than_a_training_may_take_fails_at_once() -> None:
    harness = JobHarness().at(PATIENCE_SECONDS).receive(a_waiting_plan())
    assert harness.events() == ["accepted", "image_failed", "failed"]


def test_a_cancel_ends_the_waiting() -> None:
    harness = waiting(images=2).at(50).receive(a_cancel())
    assert harness.events() == ["image_failed", "image_failed", "failed"]
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.phase, harness.job.wake_at) == ("cancelled", None, None)
    before = harness.job
    assert not looks(harness, 60, READY).outputs
    assert harness.job is before


def test_a_waiting_plan_does_not_revive_a_cancelled_job() -> None:
    harness = JobHarness(a_cancel()).receive(a_waiting_plan())
    assert harness.events() == ["accepted", "image_failed", "failed"]
    assert harness.job.wake_at is None


def test_events_of_unknown_attempts_do_not_end_the_wait() -> None:
    harness = waiting()
    before = harness.job
    assert not harness.receive(stored(), failed(), progressed()).outputs
    assert harness.job is before


def test_a_lora_that_the_requested_provider_cannot_use_fails_the_job_with_the_reason() -> None:
    known = CharacterState(Lora(key="k", trigger_word="mia", providers=("fal",)))
    harness = looks(waiting(provider="modal"), 100, known)
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.error.message) == (
        "no_provider",
        "'shot 0': the request names provider 'modal', where the weights of its LoRA do not work; "
        "providers that can: none",
    )


def test_the_job_and_its_events_know_their_character() -> None:
    harness = waiting(character=PERSON)
    assert (harness.job.character_id, harness.job.character) == (CHARACTER, PERSON)
    assert {event.character_id for event in harness.only(JobEvent)} == {CHARACTER}
    assert JobHarness(a_plan()).event("accepted").character_id is None
