"""A job whose character is not stored waits: it is planned when it is stored, or rejected after a limit."""

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
from services.dispatcher.lora_waits import CharacterState
from services.dispatcher.policies import load_policies
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
from tests.unit.dispatcher.job_harness import JobHarness

BOUND = 60.0
PLAN = a_plan(character_id=CHARACTER)


def waiting(*, accepted: bool = False, at: float = 0.0) -> JobHarness:
    return JobHarness().at(at).receive(a_wait(accepted=accepted))


def looks(harness: JobHarness, at: float, *, stored: bool) -> JobHarness:
    """Make the job check, with its character stored or not."""
    harness.characters = {MIA: CharacterState()} if stored else {}
    return harness.at(at).receive(due(after(at), character_id=CHARACTER))


def error(harness: JobHarness) -> JobError:
    assert harness.job.error is not None
    return harness.job.error


def test_a_waiting_job_is_stored_and_due_at_once() -> None:
    harness = waiting(at=3)
    assert (harness.job.status, harness.job.phase) == ("pending", "waiting_for_character")
    assert (harness.job.wake_at, harness.job.deadline_at) == (after(3), after(3 + BOUND))


def test_a_wait_is_announced_by_a_numbered_event() -> None:
    harness = JobHarness().at(3).receive(a_wait(notify={"webhook_url": "https://shop.example"}))
    (event,) = harness.outputs
    assert isinstance(event, JobEvent)
    assert harness.job.events == (event,)
    assert (event.event, event.seq, event.status, event.phase) == (
        "accepted",
        1,
        "pending",
        "waiting_for_character",
    )
    assert (event.requested, event.character_id, event.webhook) == (1, CHARACTER, True)


def test_the_plan_of_a_waiting_job_continues_its_numbers() -> None:
    notice = Notice(code="same_picture", message="Images 0, 1 are the same picture.", images=(0, 1))
    harness = looks(waiting(), 5, stored=True).at(6)
    harness.receive(a_plan(2, character_id=CHARACTER, notices=(notice,)))
    planned = harness.event("accepted")
    assert (planned.seq, planned.phase, planned.requested, planned.notices) == (2, "queued", 2, (notice,))
    harness.receive(stored(0), stored(1))
    assert [event.seq for event in harness.job.events] == list(range(1, 7))
    assert [event.phase for event in harness.job.events[:3]] == [
        "waiting_for_character",
        "queued",
        "rendering",
    ]


def test_repetitions_of_a_wait_and_of_its_plan_announce_nothing() -> None:
    harness = waiting().receive(a_wait())
    assert not harness.outputs
    harness = looks(harness, 5, stored=True).receive(a_wait(), PLAN, PLAN, a_wait())
    assert harness.events() == ["accepted"]
    assert [event.seq for event in harness.job.events] == [1, 2]


def test_a_waiting_job_of_an_older_version_is_accepted_once() -> None:
    harness = waiting()
    harness.stored = harness.job.model_copy(update={"seq": 0, "events": (), "requested": 0})
    assert looks(harness, 5, stored=True).receive(PLAN).event("accepted").seq == 1


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
def test_a_wait_states_the_number_of_requested_images(request_: dict[str, Any], number: int) -> None:
    wait = a_wait(type=request_["type"])
    requested = GenerationRequested.model_validate(wait.requested.model_dump() | {"request": request_})
    harness = JobHarness(wait.model_copy(update={"requested": requested}))
    assert (harness.job.requested, harness.event("accepted").requested) == (number, number)


def test_the_request_is_published_again_once_the_character_is_stored() -> None:
    harness = looks(waiting(), 5, stored=True)
    assert harness.outputs == [a_wait().requested]
    assert harness.receive(PLAN).events() == ["accepted"]
    assert harness.commands() == [f"{JOB}/0/1"]
    assert harness.job.phase == "queued"


def test_without_the_character_checks_get_rarer_until_the_limit() -> None:
    harness, at, pauses = waiting(), 0.0, []
    while at < BOUND:
        assert not looks(harness, at, stored=False).outputs
        assert harness.job.wake_at is not None
        pauses.append((harness.job.wake_at - after(at)).total_seconds())
        at += pauses[-1]
    assert at == BOUND
    assert pauses[:4] == [1, 1, 1, 1]
    assert len(pauses) < 20
    assert all(pause <= max(1, BOUND / 4) for pause in pauses)


def test_after_the_limit_it_is_rejected_for_the_reasons_in_its_message() -> None:
    harness = looks(waiting(), BOUND, stored=False)
    assert harness.events() == ["failed"]
    assert error(harness).code == "rejected"
    assert error(harness).reasons == a_wait().reasons
    assert error(harness).message == f"request.character_id: character {CHARACTER} does not exist"


def test_a_character_that_appears_at_the_last_moment_is_taken() -> None:
    assert looks(waiting(), BOUND + 5, stored=True).outputs == [a_wait().requested]


def test_a_character_that_the_api_accepted_is_waited_for_until_the_deadline_of_the_type() -> None:
    harness = waiting(accepted=True, at=3)
    assert not looks(harness, BOUND + 10, stored=False).outputs
    assert looks(harness, 3 + DEADLINE_SECONDS, stored=False).events() == ["failed"]
    assert error(harness).code == "deadline_exceeded"
    assert "does not exist" not in error(harness).message
    assert f"character {CHARACTER}" in error(harness).message


def test_its_own_deadline_starts_when_it_is_planned() -> None:
    harness = looks(waiting(), 50, stored=True).at(52).receive(PLAN)
    assert harness.job.deadline_at == after(52 + DEADLINE_SECONDS)
    assert harness.job.waited_seconds == 52, "which does not count towards the target either"


def test_a_plan_that_never_comes_ends_the_job() -> None:
    harness = looks(waiting(), 50, stored=True)
    assert not looks(harness, 50 + BOUND, stored=True).events()
    assert looks(harness, 50 + DEADLINE_SECONDS, stored=True).events() == ["failed"]
    assert error(harness).code == "deadline_exceeded"


def test_a_character_that_the_prompt_builder_does_not_find_yet_is_requested_again() -> None:
    harness = looks(waiting(), 5, stored=True).at(6).receive(a_wait())
    assert harness.job.wake_at is not None
    assert harness.job.wake_at < after(10)
    assert looks(harness, 8, stored=True).outputs == [a_wait().requested]
    assert harness.job.deadline_at == after(5 + DEADLINE_SECONDS), "which does not go on for ever"


def test_a_job_that_waits_is_cancelled_and_stays_so() -> None:
    harness = waiting().at(5).receive(a_cancel())
    assert harness.events() == ["failed"]
    assert (error(harness).code, error(harness).message) == ("cancelled", "changed my mind")
    assert not harness.receive(PLAN, a_wait(), a_rejection()).outputs
    assert not looks(harness, 10, stored=True).outputs


@pytest.mark.parametrize("tenant", ["acme", "other"])
def test_a_cancel_before_the_wait_holds_if_it_is_its_owners(tenant: str) -> None:
    harness = JobHarness(a_cancel(tenant=tenant)).receive(a_wait())
    assert harness.events() == (["failed"] if tenant == "acme" else ["accepted"])
    assert (harness.job.phase == "waiting_for_character") == (tenant == "other")


def test_another_tenants_cancel_ends_no_wait() -> None:
    assert not waiting().receive(a_cancel(tenant="other")).outputs


def test_a_wait_that_arrives_after_its_plan_changes_nothing() -> None:
    harness = JobHarness(PLAN)
    before = harness.job
    assert not harness.receive(a_wait()).outputs
    assert harness.job is before


def test_a_rejection_ends_the_wait() -> None:
    harness = looks(waiting(), 5, stored=True).receive(a_rejection(character_id=CHARACTER))
    assert harness.events() == ["failed"]
    assert error(harness).message == "request.count: at most 10"


def test_another_request_under_the_id_of_a_waiting_job_is_a_conflict() -> None:
    for message in (a_plan(request_hash="def"), a_wait(tenant="other")):
        harness = waiting()
        with pytest.raises(JobIdConflict):
            harness.receive(message)
        assert harness.job.phase == "waiting_for_character"


def test_a_job_may_wait_for_its_character_and_then_for_the_lora() -> None:
    harness = looks(waiting(), 5, stored=True).at(6).receive(a_waiting_plan())
    assert (harness.job.phase, harness.job.deadline_at) == ("waiting_for_lora", after(PATIENCE_SECONDS))
    harness.characters = {MIA: CharacterState(LORA)}
    assert harness.at(20).receive(due(after(20), character_id=CHARACTER)).commands() == [f"{JOB}/0/1"]


def test_a_request_that_is_too_old_does_not_wait() -> None:
    harness = waiting(at=DEADLINE_SECONDS)
    assert harness.events() == ["failed"]
    assert error(harness).code == "deadline_exceeded"


def test_the_limit_is_about_a_minute() -> None:
    assert load_policies().wait_for_character_seconds == 60


STEPS = st.one_of(
    st.sampled_from([a_wait(), a_wait(), PLAN, a_cancel(), a_cancel(tenant="other")]),
    st.just("look"),
    st.just("stored"),
)


@given(steps=st.lists(st.tuples(st.sampled_from([0.0, 1.0, 10.0, 40.0]), STEPS), max_size=20))
def test_in_any_order_a_waiting_job_ends_once_and_requests_only_a_stored_character(
    steps: Sequence[tuple[float, JobMessage | str]],
) -> None:
    harness, at, asked, events = JobHarness(), 0.0, 0, []
    for pause, step in [*steps, (0.0, a_wait()), *[(100.0, "look")] * 9]:
        at += pause
        if step == "stored":
            harness.characters = {MIA: CharacterState()}
            continue
        message = due(after(at), character_id=CHARACTER) if isinstance(step, str) else step
        ended = harness.stored is not None and harness.stored.terminal and not harness.stored.placeholder
        harness.at(at).receive(message)
        events += harness.events()
        asked += len(harness.only(GenerationRequested))
        assert not (ended and harness.outputs), "nothing is said after the end"
        assert not harness.only(GenerationRequested) or harness.characters
    assert harness.job.terminal
    assert events.count("failed") + events.count("completed") == 1
    assert [event.seq for event in harness.job.events] == list(range(1, harness.job.seq + 1))
    assert events == [event.event for event in harness.job.events]
    assert events.count("accepted") <= 2
    ownership = [step for _, step in steps if step == a_cancel()]
    if asked == 0 and PLAN not in [step for _, step in steps] and not ownership and at < 1200:
        assert error(harness).code in ("rejected", "deadline_exceeded")
    again = harness.job
    assert harness.at(at + timedelta(seconds=1).total_seconds()).receive(a_wait()).outputs == []
    assert harness.job is again


def test_a_job_that_awaits_a_choice_of_face_is_not_planned_before_it_is_stored() -> None:
    wait = a_wait(accepted=True)
    requested = wait.requested.model_copy(update={"awaited_choice": JOB})
    harness = JobHarness().receive(wait.model_copy(update={"requested": requested}))
    assert not looks(harness, 5, stored=True).outputs, (
        "the character is stored, and has no face or another one"
    )
    harness.characters = {MIA: CharacterState(choices=frozenset({JOB}))}
    assert harness.at(9).receive(due(after(9), character_id=CHARACTER)).outputs == [requested]


def test_a_selection_that_is_never_stored_ends_the_wait_with_a_reason() -> None:
    wait = a_wait(accepted=True)
    requested = wait.requested.model_copy(update={"awaited_choice": JOB})
    harness = JobHarness().receive(wait.model_copy(update={"requested": requested}))
    looks(harness, DEADLINE_SECONDS, stored=True)
    assert error(harness).code == "deadline_exceeded"
    assert f"for the face that was chosen for character {CHARACTER}" in error(harness).message
