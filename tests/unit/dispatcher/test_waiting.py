"""A job that waits for its character's LoRA: nothing is rendered before, and its own time begins then."""

from typing import Any

import pytest

from contracts.characters import Character, Lora
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from services.dispatcher.waiting import KnownLora
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
from tests.unit.dispatcher.life import Life

READY = KnownLora(lora=LORA)
TRAINS = KnownLora()
FAILED = KnownLora(failure="the images are too much alike", failed_at=after(50))
PERSON = Character(name="Mia", age=27, trigger_word="mia_tok")


def waiting(images: int = 1, **fields: Any) -> Life:
    return Life(a_waiting_plan(images, **fields))


def looks(life: Life, at: float, known: KnownLora | None) -> Life:
    """The job is called, and this is known of its character then."""
    life.loras = {MIA: known} if known else {}
    return life.at(at).hear(due(after(at), character_id=CHARACTER))


def test_a_job_that_waits_is_accepted_and_commands_nothing() -> None:
    life = waiting(images=2)
    assert life.events() == ["accepted"]
    assert not life.commands()
    assert (life.job.status, life.job.phase, life.event("accepted").phase) == (
        "pending",
        "waiting_for_lora",
        "waiting_for_lora",
    )
    assert [render.state for render in life.job.renders] == ["waiting"] * 2


def test_it_asks_to_be_called_at_once_which_is_after_it_was_written() -> None:
    life = Life().at(3).hear(a_waiting_plan())
    assert life.job.wake_at == after(3)


def test_it_waits_as_long_as_a_training_may_take_from_the_request_on() -> None:
    life = Life().at(3).hear(a_waiting_plan())
    assert life.job.deadline_at == after(PATIENCE_SECONDS)


def test_without_a_lora_it_looks_again_every_30_seconds() -> None:
    life = looks(waiting(), 10, TRAINS)
    assert not life.said
    assert (life.job.phase, life.job.wake_at) == ("waiting_for_lora", after(40))
    assert looks(life, 40, TRAINS).job.wake_at == after(70)


def test_it_looks_no_later_than_at_its_deadline() -> None:
    life = looks(waiting(), PATIENCE_SECONDS - 5, TRAINS)
    assert life.job.wake_at == life.job.deadline_at


@pytest.mark.parametrize(
    "others", [{}, {("other", CHARACTER): READY}, {("other", CHARACTER): KnownLora(None, "no", after(5))}]
)
def test_a_character_that_is_not_there_or_another_tenants_is_waited_for(others: Any) -> None:
    life = waiting()
    life.loras = others
    life.at(10).hear(due(after(10), character_id=CHARACTER))
    assert not life.said
    assert life.job.wake_at == after(40)


def test_with_the_lora_every_image_begins_and_has_it() -> None:
    life = looks(waiting(images=3), 100, READY)
    assert life.commands() == [f"{JOB}/{index}/1" for index in range(3)]
    assert {command.spec.lora for command in life.only(RenderRequested)} == {LORA}
    assert {render.spec.lora for render in life.job.renders} == {LORA}
    assert life.job.phase == "queued"


def test_its_texts_begin_with_the_word_that_the_lora_listens_to() -> None:
    """A LoRA may have been trained on another word than the one that was planned with."""
    spec = a_spec(index=0, prompt="mia_tok, a woman", tag_prompt="mia_tok, (woman:1.2)")
    other = LORA.model_copy(update={"trigger_word": "qdvg"})
    life = looks(waiting(renders=(spec,), character=PERSON), 100, KnownLora(other))
    (command,) = life.only(RenderRequested)
    assert (command.spec.prompt, command.spec.tag_prompt) == ("qdvg, a woman", "qdvg, (woman:1.2)")


def test_its_own_deadline_starts_when_it_is_woken() -> None:
    life = looks(waiting(), 800, READY)
    assert life.job.deadline_at == life.job.wake_at == after(800 + 300)
    (command,) = life.only(RenderRequested)
    assert command.deadline_at == after(1100)
    assert not life.at(1099).hear(due(after(1099))).said
    assert life.at(1100).hear(due(after(1100))).events() == ["image_failed", "failed"]
    assert life.job.error is not None
    assert life.job.error.message == "0 of 1 images were ready after 1100 s"


def test_a_woken_job_goes_on_as_any_other() -> None:
    life = looks(waiting(images=2), 100, READY)
    life.at(103).hear(progressed(0), failed(0), stored(1))
    assert life.events() == ["started", "progressed", "image_ready"]
    assert life.at(105).hear(due(after(105))).commands() == [f"{JOB}/0/2"]
    assert life.hear(stored(0, 2)).events() == ["image_ready", "completed"]
    assert life.event("completed").seq == life.job.seq == 5


def test_its_time_is_measured_from_the_request() -> None:
    life = looks(waiting(), 100, READY)
    life.at(110).hear(stored())
    completed = life.event("completed")
    assert (completed.elapsed_seconds, completed.target_seconds) == (110, 15)
    assert completed.waited_seconds == life.job.waited_seconds == 100, "the other 10 s count"
    assert life.job.requested_at == START


def test_a_lora_that_was_ready_all_along_is_taken_at_the_first_call() -> None:
    assert looks(waiting(), 0, READY).commands() == [f"{JOB}/0/1"]


def test_a_second_call_changes_nothing_once_it_is_awake() -> None:
    life = looks(waiting(), 100, READY)
    before = life.job
    assert not looks(life, 101, READY).said
    assert life.job is before


def test_a_failed_training_ends_it_by_that_name() -> None:
    life = looks(waiting(images=2), 100, FAILED)
    assert life.events() == ["image_failed", "image_failed", "failed"]
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.message) == (
        "lora_failed",
        "the training of the character's LoRA failed: the images are too much alike",
    )
    assert not life.commands()


def test_a_failure_ends_it_only_when_no_other_training_was_accepted_within_five_seconds() -> None:
    recent = KnownLora(failure="too dark", failed_at=after(98))
    life = looks(waiting(), 100, recent)
    assert not life.said
    assert (life.job.phase, life.job.wake_at) == ("waiting_for_lora", after(103))
    other_runs = looks(waiting(), 103, TRAINS)
    assert other_runs.job.phase == "waiting_for_lora"
    assert looks(life, 103, recent).job.terminal


def test_a_training_that_failed_before_it_was_asked_for_does_not_end_it() -> None:
    for failed_at in (after(-1), None):  # None: by a record from before the time was kept
        life = looks(waiting(), 100, KnownLora(failure="too dark", failed_at=failed_at))
        assert not life.said
        assert (life.job.phase, life.job.wake_at) == ("waiting_for_lora", after(130))


def test_an_older_lora_is_good_enough_although_its_retraining_failed() -> None:
    life = looks(waiting(), 100, KnownLora(LORA, "cancelled", after(50)))
    assert life.commands() == [f"{JOB}/0/1"]


def test_at_its_deadline_it_fails_and_says_that_it_waited() -> None:
    life = looks(waiting(), PATIENCE_SECONDS, TRAINS)
    assert life.events() == ["image_failed", "failed"]
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.message) == (
        "deadline_exceeded",
        "it waited 900 s for the character's LoRA, which is not ready",
    )


def test_a_plan_that_is_older_than_its_own_types_deadline_may_still_wait() -> None:
    life = Life().at(400).hear(a_waiting_plan())
    assert life.events() == ["accepted"]
    assert not life.job.terminal


def test_a_plan_that_is_older_than_a_training_may_take_fails_at_once() -> None:
    life = Life().at(PATIENCE_SECONDS).hear(a_waiting_plan())
    assert life.events() == ["accepted", "image_failed", "failed"]


def test_a_cancel_ends_the_waiting() -> None:
    life = waiting(images=2).at(50).hear(a_cancel())
    assert life.events() == ["image_failed", "image_failed", "failed"]
    assert life.job.error is not None
    assert (life.job.error.code, life.job.phase, life.job.wake_at) == ("cancelled", None, None)
    before = life.job
    assert not looks(life, 60, READY).said
    assert life.job is before


def test_a_plan_that_waits_does_not_revive_what_was_cancelled_before_it() -> None:
    life = Life(a_cancel()).hear(a_waiting_plan())
    assert life.events() == ["accepted", "image_failed", "failed"]
    assert life.job.wake_at is None


def test_news_of_attempts_that_it_never_made_do_not_wake_it() -> None:
    life = waiting()
    before = life.job
    assert not life.hear(stored(), failed(), progressed()).said
    assert life.job is before


def test_a_lora_that_works_nowhere_where_it_is_asked_for_fails_by_name() -> None:
    known = KnownLora(Lora(key="k", trigger_word="mia", providers=("fal",)))
    life = looks(waiting(provider="modal"), 100, known)
    assert life.job.error is not None
    assert (life.job.error.code, life.job.error.message) == (
        "no_provider",
        "'shot 0': the request names provider 'modal', where the weights of its LoRA do not work; "
        "providers that can: none",
    )


def test_the_job_and_its_events_know_their_character() -> None:
    life = waiting(character=PERSON)
    assert (life.job.character_id, life.job.character) == (CHARACTER, PERSON)
    assert {event.character_id for event in life.only(JobEvent)} == {CHARACTER}
    assert Life(a_plan()).event("accepted").character_id is None
