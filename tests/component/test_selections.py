"""A base image may be selected before it is drawn, or before its job is known, in any order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.base import Message
from contracts.characters import character_key
from contracts.generation import GenerationRequested
from contracts.operations import DeadLetter
from contracts.requests import BaseImageRequest, StudioRequest
from tests.fakes.builders import CHARACTER, MIA, after, refused
from tests.fakes.characters import FACES, MARA, a_chain_cancel, a_selection
from tests.fakes.references import STUDIO, ReferencesHarness, shuffled

BASE_IMAGES = GenerationRequested(
    job_id=FACES, tenant="acme", user_id="ann", request=BaseImageRequest(character=MARA, count=2)
)
"""The job that draws the base images."""
SELECTION = a_selection(base_image_id=f"{FACES}/1")
FACE_SWAP = STUDIO.model_copy(update={"request": StudioRequest(character_id=CHARACTER, mode="face_swap")})
SEEDS = st.integers(0, 2**32)


async def played(seed: int, *messages: Message) -> ReferencesHarness:
    """Return a harness in which these messages were read, in any order, and no image was drawn."""
    order = Random(seed)
    harness = ReferencesHarness(order)
    harness.drawn.kept.clear()
    await harness.play(shuffled(order, *messages))
    return harness


def sheets(harness: ReferencesHarness) -> int:
    return len([each for each in harness.published(GenerationRequested) if SELECTION.chain_id in each])


@given(seed=SEEDS, seconds=st.sampled_from([0, 20, 100]))
async def test_a_base_image_can_be_selected_before_it_is_drawn(seed: int, seconds: int) -> None:
    with capture_logs():
        harness = await played(seed, BASE_IMAGES, SELECTION, FACE_SWAP)
        await harness.wait(seconds)
        waiting = harness.job
        await harness.draw(FACES)
        await harness.wait(60)
    assert (waiting.phase, harness.job.phase) == ("waiting_for_character", "queued")
    assert [render.spec.face for render in harness.job.renders] == [SELECTION.base_image_id]
    assert sheets(harness) == 1
    assert harness.published(DeadLetter) == set()


@given(seed=SEEDS)
async def test_a_base_image_that_fails_ends_its_selection_with_the_reason(seed: int) -> None:
    with capture_logs():
        harness = await played(seed, BASE_IMAGES, SELECTION)
        failures = (refused(job_id=FACES, attempt_id=f"{FACES}/{index}/1") for index in range(2))
        await harness.play(failures)
        await harness.wait(20)
    sheet = harness.job_of(SELECTION.chain_id)
    assert (sheet.status, sheet.chain_id, sheet.user_id) == ("failed", SELECTION.chain_id, "ann")
    assert sheet.error is not None
    assert sheet.error.message == f"base_image_id: job {FACES} ended without image 1"
    chain = harness.chains.get(SELECTION.chain_id)
    assert chain is not None
    assert (chain.state, chain.steps[0].error) == ("failed", sheet.error)
    assert sheets(harness) == 0


@given(seed=SEEDS, seconds=st.sampled_from([1, 30, 55]))
async def test_a_selection_waits_a_minute_for_a_job_that_is_not_known(seed: int, seconds: int) -> None:
    with capture_logs():
        harness = await played(seed, SELECTION)
        await harness.wait(seconds)
        await harness.play([BASE_IMAGES])
        await harness.draw(FACES)
        await harness.wait(20)
    record = harness.characters.get(character_key(*MIA))
    assert record is not None
    assert record.character.base_image_id == SELECTION.base_image_id
    assert sheets(harness) == 1


async def test_a_selection_from_a_job_that_never_comes_ends_after_a_minute() -> None:
    with capture_logs():
        harness = await played(1, SELECTION)
        await harness.wait(75)
    error = harness.job_of(SELECTION.chain_id).error
    assert error is not None
    assert error.message == f"base_image_id: job {FACES} is not known after 60 s"
    selections = harness.selections.get(character_key(*MIA))
    assert selections is not None
    assert (selections.pending, selections.wake_at) == ((), None)


async def test_a_selection_that_the_api_accepted_outlives_the_minute() -> None:
    with capture_logs():
        harness = await played(1, SELECTION.model_copy(update={"job_accepted": True}))
        await harness.wait(600)
        await harness.play([BASE_IMAGES])
        await harness.draw(FACES)
        await harness.wait(20)
    assert harness.characters.get(character_key(*MIA)) is not None


@given(seed=SEEDS)
async def test_of_two_selections_the_newest_is_the_face_whichever_image_is_ready_first(seed: int) -> None:
    older = a_selection(base_image_id=f"{FACES}/0", selected_at=after(-30))
    with capture_logs():
        harness = await played(seed, BASE_IMAGES, SELECTION, older)
        await harness.draw(FACES)
        await harness.wait(20)
    record = harness.characters.get(character_key(*MIA))
    assert record is not None
    assert record.character.base_image_id == SELECTION.base_image_id


async def test_a_chain_that_is_cancelled_while_its_selection_waits_draws_no_sheet() -> None:
    cancel = a_chain_cancel(0.1, chain_id=SELECTION.chain_id)
    with capture_logs():
        harness = await played(1, BASE_IMAGES, SELECTION)
        await harness.play([cancel])
        await harness.draw(FACES)
        await harness.wait(20)
    chain = harness.chains.get(SELECTION.chain_id)
    assert chain is not None
    assert chain.state == "cancelled"
    assert harness.job_of(SELECTION.chain_id).error is not None
