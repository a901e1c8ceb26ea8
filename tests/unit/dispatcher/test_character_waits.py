"""A job whose character is not stored yet waits for it: planned when it is there, else rejected in time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.generation import GenerationRequested
from contracts.jobs import JobError, JobEvent
from contracts.notices import Notice
from services.dispatcher.domain import JobIdConflict, JobMessage
from services.dispatcher.policies import load_policies
from services.dispatcher.waiting import KnownLora
from tests.fakes.builders import (
    CHARACTER,
    DEADLINE_SECONDS,
    JOB,
    LORA,
    MIA,
    PATIENCE_SECONDS,
    a_cancel,
    a_plan,
    a_rejection,
    a_wait,
    a_waiting_plan,
    after,
    due,
    stored,
)
from tests.unit.dispatcher.life import Life

BOUND = 60.0
PLAN = a_plan(character_id=CHARACTER)


def waiting(*, accepted: bool = False, at: float = 0.0) -> Life:
    return Life().at(at).hear(a_wait(accepted=accepted))


def looks(life: Life, at: float, *, stored: bool) -> Life:
    """The job is called, and its character is stored by then or not."""
    life.loras = {MIA: KnownLora()} if stored else {}
    return life.at(at).hear(due(after(at), character_id=CHARACTER))


def error(life: Life) -> JobError:
    assert life.job.error is not None
    return life.job.error


def test_a_waiting_job_is_there_and_looks_at_once() -> None:
    life = waiting(at=3)
    assert (life.job.status, life.job.phase) == ("pending", "waiting_for_character")
    assert (life.job.wake_at, life.job.deadline_at) == (after(3), after(3 + BOUND))


def test_a_wait_is_announced_by_a_numbered_event() -> None:
    life = Life().at(3).hear(a_wait(notify={"webhook_url": "https://shop.example"}))
    (event,) = life.said
    assert isinstance(event, JobEvent)
    assert life.job.events == (event,)
    assert (event.event, event.seq, event.status, event.phase) == (
        "accepted",
        1,
        "pending",
        "waiting_for_character",
    )
    assert (event.requested, event.character_id, event.webhook) == (1, CHARACTER, True)


def test_the_plan_of_a_waiting_job_continues_its_numbers() -> None:
    notice = Notice(code="same_picture", message="Images 0, 1 are the same picture.", images=(0, 1))
    life = looks(waiting(), 5, stored=True).at(6)
    life.hear(a_plan(2, character_id=CHARACTER, notices=(notice,)))
    planned = life.event("accepted")
    assert (planned.seq, planned.phase, planned.requested, planned.notices) == (2, "queued", 2, (notice,))
    life.hear(stored(0), stored(1))
    assert [event.seq for event in life.job.events] == list(range(1, 7))
    assert [event.phase for event in life.job.events[:3]] == ["waiting_for_character", "queued", "rendering"]


def test_repetitions_of_a_wait_and_of_its_plan_announce_nothing() -> None:
    life = waiting().hear(a_wait())
    assert not life.said
    life = looks(life, 5, stored=True).hear(a_wait(), PLAN, PLAN, a_wait())
    assert life.events() == ["accepted"]
    assert [event.seq for event in life.job.events] == [1, 2]


def test_a_job_that_began_to_wait_before_waits_were_announced_is_accepted_once() -> None:
    life = waiting()
    life.stored = life.job.model_copy(update={"seq": 0, "events": (), "requested": 0})
    assert looks(life, 5, stored=True).hear(PLAN).event("accepted").seq == 1


@pytest.mark.parametrize(
    ("request_", "number"),
    [
        ({"type": "base_image", "count": 2, "character_id": CHARACTER}, 2),
        ({"type": "studio", "count": 4, "character_id": CHARACTER}, 4),
        ({"type": "character_sheet", "base_image_id": f"{JOB}/0", "character_id": CHARACTER}, 7),
        ({"type": "character_sheet", "base_image_id": f"{JOB}/0", "character_id": CHARACTER, "only": [2]}, 1),
        ({"type": "profile_pictures", "set_id": "professional", "character_id": CHARACTER}, 0),
    ],
)
def test_a_wait_tells_the_number_of_images_that_its_request_asks_for(
    request_: dict[str, Any], number: int
) -> None:
    wait = a_wait(type=request_["type"])
    requested = GenerationRequested.model_validate(wait.requested.model_dump() | {"request": request_})
    life = Life(wait.model_copy(update={"requested": requested}))
    assert (life.job.requested, life.event("accepted").requested) == (number, number)


def test_the_request_is_published_again_once_the_character_is_stored() -> None:
    life = looks(waiting(), 5, stored=True)
    assert life.said == [a_wait().requested]
    assert life.hear(PLAN).events() == ["accepted"]
    assert life.commands() == [f"{JOB}/0/1"]
    assert life.job.phase == "queued"


def test_without_the_character_it_looks_ever_more_rarely_until_the_bound() -> None:
    life, at, pauses = waiting(), 0.0, []
    while at < BOUND:
        assert not looks(life, at, stored=False).said
        assert life.job.wake_at is not None
        pauses.append((life.job.wake_at - after(at)).total_seconds())
        at += pauses[-1]
    assert at == BOUND
    assert pauses[:4] == [1, 1, 1, 1]
    assert len(pauses) < 20
    assert all(pause <= max(1, BOUND / 4) for pause in pauses)


def test_after_the_bound_it_is_rejected_for_the_reasons_it_came_with() -> None:
    life = looks(waiting(), BOUND, stored=False)
    assert life.events() == ["failed"]
    assert error(life).code == "rejected"
    assert error(life).reasons == a_wait().reasons
    assert error(life).message == f"request.character_id: character {CHARACTER} does not exist"


def test_a_character_that_appears_at_the_last_moment_is_taken() -> None:
    assert looks(waiting(), BOUND + 5, stored=True).said == [a_wait().requested]


def test_a_character_that_the_api_accepted_is_waited_for_until_the_deadline_of_the_type() -> None:
    life = waiting(accepted=True, at=3)
    assert not looks(life, BOUND + 10, stored=False).said
    assert looks(life, 3 + DEADLINE_SECONDS, stored=False).events() == ["failed"]
    assert error(life).code == "deadline_exceeded"
    assert "does not exist" not in error(life).message
    assert f"character {CHARACTER}" in error(life).message


def test_its_own_deadline_starts_when_it_is_planned() -> None:
    life = looks(waiting(), 50, stored=True).at(52).hear(PLAN)
    assert life.job.deadline_at == after(52 + DEADLINE_SECONDS)
    assert life.job.waited_seconds == 52, "which does not count towards the target either"


def test_a_plan_that_never_comes_ends_the_job() -> None:
    life = looks(waiting(), 50, stored=True)
    assert not looks(life, 50 + BOUND, stored=True).events()
    assert looks(life, 50 + DEADLINE_SECONDS, stored=True).events() == ["failed"]
    assert error(life).code == "deadline_exceeded"


def test_a_character_that_the_prompt_builder_does_not_see_yet_is_asked_for_again() -> None:
    life = looks(waiting(), 5, stored=True).at(6).hear(a_wait())
    assert life.job.wake_at is not None
    assert life.job.wake_at < after(10)
    assert looks(life, 8, stored=True).said == [a_wait().requested]
    assert life.job.deadline_at == after(5 + DEADLINE_SECONDS), "which does not go on for ever"


def test_a_job_that_waits_is_cancelled_and_stays_so() -> None:
    life = waiting().at(5).hear(a_cancel())
    assert life.events() == ["failed"]
    assert (error(life).code, error(life).message) == ("cancelled", "changed my mind")
    assert not life.hear(PLAN, a_wait(), a_rejection()).said
    assert not looks(life, 10, stored=True).said


@pytest.mark.parametrize("tenant", ["acme", "other"])
def test_a_cancel_before_the_wait_holds_if_it_is_its_owners(tenant: str) -> None:
    life = Life(a_cancel(tenant=tenant)).hear(a_wait())
    assert life.events() == (["failed"] if tenant == "acme" else ["accepted"])
    assert (life.job.phase == "waiting_for_character") == (tenant == "other")


def test_another_tenants_cancel_ends_no_wait() -> None:
    assert not waiting().hear(a_cancel(tenant="other")).said


def test_a_wait_that_was_overtaken_by_its_plan_changes_nothing() -> None:
    life = Life(PLAN)
    before = life.job
    assert not life.hear(a_wait()).said
    assert life.job is before


def test_a_rejection_ends_the_wait() -> None:
    life = looks(waiting(), 5, stored=True).hear(a_rejection(character_id=CHARACTER))
    assert life.events() == ["failed"]
    assert error(life).message == "request.count: at most 10"


def test_another_request_under_the_id_of_a_waiting_job_is_a_conflict() -> None:
    for message in (a_plan(request_hash="def"), a_wait(tenant="other")):
        life = waiting()
        with pytest.raises(JobIdConflict):
            life.hear(message)
        assert life.job.phase == "waiting_for_character"


def test_a_job_may_wait_for_its_character_and_then_for_the_lora() -> None:
    life = looks(waiting(), 5, stored=True).at(6).hear(a_waiting_plan())
    assert (life.job.phase, life.job.deadline_at) == ("waiting_for_lora", after(PATIENCE_SECONDS))
    life.loras = {MIA: KnownLora(LORA)}
    assert life.at(20).hear(due(after(20), character_id=CHARACTER)).commands() == [f"{JOB}/0/1"]


def test_a_request_that_is_too_old_waits_for_nothing() -> None:
    life = waiting(at=DEADLINE_SECONDS)
    assert life.events() == ["failed"]
    assert error(life).code == "deadline_exceeded"


def test_the_bound_is_about_a_minute() -> None:
    assert load_policies().wait_for_character_seconds == 60


STEPS = st.one_of(
    st.sampled_from([a_wait(), a_wait(), PLAN, a_cancel(), a_cancel(tenant="other")]),
    st.just("look"),
    st.just("stored"),
)


@given(steps=st.lists(st.tuples(st.sampled_from([0.0, 1.0, 10.0, 40.0]), STEPS), max_size=20))
def test_whatever_the_order_a_waiting_job_ends_once_and_asks_only_for_a_stored_character(
    steps: Sequence[tuple[float, JobMessage | str]],
) -> None:
    life, at, asked, events = Life(), 0.0, 0, []
    for pause, step in [*steps, (0.0, a_wait()), *[(100.0, "look")] * 9]:
        at += pause
        if step == "stored":
            life.loras = {MIA: KnownLora()}
            continue
        message = due(after(at), character_id=CHARACTER) if isinstance(step, str) else step
        ended = life.stored is not None and life.stored.terminal and not life.stored.placeholder
        life.at(at).hear(message)
        events += life.events()
        asked += len(life.only(GenerationRequested))
        assert not (ended and life.said), "nothing is said after the end"
        assert not life.only(GenerationRequested) or life.loras
    assert life.job.terminal
    assert events.count("failed") + events.count("completed") == 1
    assert [event.seq for event in life.job.events] == list(range(1, life.job.seq + 1))
    assert events == [event.event for event in life.job.events]
    assert events.count("accepted") <= 2
    ownership = [step for _, step in steps if step == a_cancel()]
    if asked == 0 and PLAN not in [step for _, step in steps] and not ownership and at < 1200:
        assert error(life).code in ("rejected", "deadline_exceeded")
    again = life.job
    assert life.at(at + timedelta(seconds=1).total_seconds()).hear(a_wait()).said == []
    assert life.job is again


def test_a_job_that_awaits_a_choice_of_face_is_not_planned_before_it_is_stored() -> None:
    wait = a_wait(accepted=True)
    requested = wait.requested.model_copy(update={"awaited_choice": JOB})
    life = Life().hear(wait.model_copy(update={"requested": requested}))
    assert not looks(life, 5, stored=True).said, "the character is stored, and has no face or another one"
    life.loras = {MIA: KnownLora(choices=frozenset({JOB}))}
    assert life.at(9).hear(due(after(9), character_id=CHARACTER)).said == [requested]


def test_a_choice_of_face_that_is_never_stored_ends_the_wait_in_words() -> None:
    wait = a_wait(accepted=True)
    requested = wait.requested.model_copy(update={"awaited_choice": JOB})
    life = Life().hear(wait.model_copy(update={"requested": requested}))
    looks(life, DEADLINE_SECONDS, stored=True)
    assert error(life).code == "deadline_exceeded"
    assert f"for the face that was chosen for character {CHARACTER}" in error(life).message
