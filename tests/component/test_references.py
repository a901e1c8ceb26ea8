"""Requests for a character wait until it is stored, in whatever order the messages are read."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.base import Message
from contracts.jobs import JobEvent
from contracts.renders import RenderRequested
from contracts.requests import StudioRequest
from tests.fakes.builders import CHARACTER, JOB, a_cancel
from tests.fakes.characters import a_creation, a_selection
from tests.fakes.references import STUDIO, ReferencesHarness, shuffled

THEIRS = a_creation(tenant="other")
MAKES = st.sampled_from(
    [[a_selection()], [a_creation()], [a_creation(), a_selection()], [a_selection(), a_creation()]]
)


@given(makes=MAKES, seed=st.integers(0, 2**32))
async def test_a_picture_is_drawn_once_whenever_its_character_comes(makes: list[Message], seed: int) -> None:
    order = Random(seed)
    harness = ReferencesHarness(order)
    with capture_logs():
        await harness.play(shuffled(order, STUDIO, *makes, THEIRS))
        await harness.wait(20)
    commands = {command for command in harness.published(RenderRequested) if JOB in command}
    assert len(commands) == 1
    events = [(event.seq, event.event, event.phase) for event in harness.job.events]
    waited = [(1, "accepted", "waiting_for_character"), (2, "accepted", "queued")]
    assert events in ([(1, "accepted", "queued")], waited)
    assert len(events) == len([event for event in harness.published(JobEvent) if JOB in event])


@given(seed=st.integers(0, 2**32))
async def test_a_picture_requested_after_a_selection_has_that_face(seed: int) -> None:
    order = Random(seed)
    harness = ReferencesHarness(order)
    chosen = a_selection()
    after_it = STUDIO.model_copy(
        update={
            "request": StudioRequest(character_id=CHARACTER, mode="face_swap"),
            "character_accepted": True,
            "awaited_choice": chosen.chain_id,
        }
    )
    with capture_logs():
        await harness.play([a_creation()])
        await harness.play(shuffled(order, after_it, chosen))
        await harness.wait(20)
    assert harness.job.phase == "queued"
    assert [render.spec.face for render in harness.job.renders] == [chosen.base_image_id]


@given(seed=st.integers(0, 2**32))
async def test_without_the_character_the_job_is_rejected_once_the_wait_is_over(seed: int) -> None:
    order = Random(seed)
    harness = ReferencesHarness(order)
    with capture_logs():
        await harness.play(shuffled(order, STUDIO, THEIRS))
        assert harness.job.status == "pending"
        await harness.wait(65)
    assert harness.job.error is not None
    events = [(event.seq, event.event) for event in harness.job.events]
    assert (harness.job.error.code, events) == ("rejected", [(1, "accepted"), (2, "failed")])
    assert harness.job.error.message == f"request.character_id: character {CHARACTER} does not exist"
    assert harness.published(RenderRequested) == set()


@given(makes=MAKES, seed=st.integers(0, 2**32))
async def test_a_job_that_is_cancelled_at_any_moment_of_its_wait_ends_as_cancelled(
    makes: list[Message], seed: int
) -> None:
    order = Random(seed)
    harness = ReferencesHarness(order)
    with capture_logs():
        await harness.play(shuffled(order, STUDIO, a_cancel(), a_cancel(tenant="other"), *makes))
        await harness.wait(65)
    assert harness.job.error is not None
    assert (harness.job.error.code, harness.job.status) == ("cancelled", "failed")
    ends = [event for event in harness.job.events if event.event == "failed"]
    assert len(ends) == 1


@pytest.mark.parametrize("seconds", [1, 30, 55])
async def test_a_character_that_comes_late_is_still_taken(seconds: int) -> None:
    harness = ReferencesHarness(Random(1))
    with capture_logs():
        await harness.play([STUDIO])
        await harness.wait(seconds)
        await harness.play([a_creation()])
        await harness.wait(20)
    assert harness.job.phase == "queued"
