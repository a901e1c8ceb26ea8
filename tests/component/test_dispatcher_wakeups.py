"""A job that waits for a LoRA is woken by it, in whatever order, and whoever is killed when."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.jobs import JobDue
from contracts.renders import RenderRequested
from tests.fakes.builders import CHARACTER, JOB, LORA, POLICIES
from tests.fakes.dispatcher import Point, World

COMMANDS = RenderRequested.topic.format(provider="modal")
POINTS: tuple[Point, ...] = ("read", "write", "send", "commit", "call")


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def check_that_it_was_woken_once(world: World) -> None:
    (command,) = world.said(COMMANDS)
    assert command["attempt_id"] == f"{JOB}/0/1"
    assert command["spec"]["lora"]["key"] == LORA.key
    assert world.job is not None
    assert world.job.phase == "queued"


async def play(world: World, *steps: str) -> World:
    for step in steps:
        await getattr(world, step)()
    return world


async def test_a_job_that_waits_is_called_by_its_lora_not_by_the_clock() -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch")
    assert (waiting := world.job) is not None
    assert waiting.wake_at is not None
    await play(world, "train", "announce", "hear", "dispatch")
    check_that_it_was_woken_once(world)
    assert world.now < waiting.wake_at


async def test_a_lora_that_was_announced_before_there_was_a_job_is_found_by_its_first_look() -> None:
    world = await play(World(), "train", "announce", "hear", "plan", "dispatch", "look", "dispatch")
    check_that_it_was_woken_once(world)


@pytest.mark.parametrize("cut", ["write", "send"])
async def test_a_lora_that_comes_while_the_job_is_being_written_is_not_missed(cut: Point) -> None:
    world = await play(World(), "plan")
    world.meanwhile = {cut: lambda: _announced_and_heard(world)}
    await play(world, "dispatch", "look", "dispatch", "dispatch")
    check_that_it_was_woken_once(world)


async def test_a_lora_that_comes_right_after_the_job_looked_calls_it() -> None:
    world = await play(World(), "plan", "dispatch", "look")
    world.meanwhile = {"read": lambda: _announced_and_heard(world)}
    await play(world, "dispatch", "dispatch")
    check_that_it_was_woken_once(world)


async def _announced_and_heard(world: World) -> None:
    await play(world, "train", "announce", "hear")


async def test_a_dispatcher_that_dies_after_the_write_and_before_it_speaks_is_taken_over() -> None:
    world = await play(World(), "plan")
    world.meanwhile = {"send": world.die}
    await play(world, "dispatch", "train", "announce", "hear")
    assert world.job is not None
    assert not world.said("job.events.v1")
    await play(world, "dispatch")
    check_that_it_was_woken_once(world)
    assert [event["event"] for event in world.said("job.events.v1")] == ["accepted"]


async def test_a_lost_call_of_the_timers_is_made_again() -> None:
    world = await play(World(), "train", "announce", "hear", "plan", "dispatch")
    world.meanwhile = {"call": world.die}
    await play(world, "look")
    assert not world.said(JobDue.topic)
    await play(world, "look", "dispatch")
    check_that_it_was_woken_once(world)


async def test_a_dispatcher_that_dies_while_it_calls_calls_again() -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch", "train", "announce")
    world.meanwhile = {"send": world.die}
    await play(world, "hear")
    assert len(world.said(JobDue.topic)) == 1
    await play(world, "hear", "dispatch")
    check_that_it_was_woken_once(world)


async def test_a_failed_training_ends_the_jobs_that_wait_for_it_once_the_failure_is_confirmed() -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch")
    await play(world, "fail", "announce", "hear", "dispatch")
    assert world.job is not None
    assert not world.job.terminal, "the acceptance of another training may not have been read yet"
    world.now += timedelta(seconds=POLICIES.confirm_lora_failure_seconds)
    await play(world, "look", "dispatch")
    assert world.job.error is not None
    assert (world.job.error.code, world.job.terminal) == ("lora_failed", True)
    assert not world.said(COMMANDS)


@pytest.mark.parametrize("accepted_after_the_failure", [False, True])
async def test_a_job_outlives_a_failed_training_while_another_one_is_ahead(
    accepted_after_the_failure: bool,
) -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch")
    if not accepted_after_the_failure:
        world.begin_chain()
    await play(world, "fail", "announce", "hear", "dispatch")
    if accepted_after_the_failure:
        world.begin_chain()
    world.now += timedelta(seconds=60)
    await play(world, "look", "dispatch", "train", "announce", "hear", "dispatch")
    check_that_it_was_woken_once(world)


async def test_a_job_ends_when_the_chain_with_the_other_training_has_failed() -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch")
    world.begin_chain()
    await play(world, "fail", "announce", "hear", "dispatch")
    world.end_chain("failed")
    world.now += timedelta(seconds=60)
    await play(world, "look", "dispatch")
    assert world.job is not None
    assert world.job.error is not None
    assert world.job.error.code == "lora_failed"


async def test_every_order_of_the_steps_ends_in_the_same() -> None:
    for order in permutations(("plan", "train", "dispatch", "look", "announce", "hear")):
        if order.index("plan") > order.index("dispatch") or order.index("train") > order.index("announce"):
            continue  # nothing is there to be dispatched, or announced
        world = await play(World(), *order)
        await world.settle()
        check_that_it_was_woken_once(world)


STEPS = ("plan", "dispatch", "dispatch", "look", "train", "announce", "hear")


@given(
    transition=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.sampled_from([None, None, *POINTS]),
            st.sampled_from(["die", "die", "train", "announce", "hear", "look"]),
        ),
        max_size=14,
    )
)
async def test_no_kill_and_no_interleaving_loses_the_wake_up(
    transition: list[tuple[str, Point | None, str]],
) -> None:
    world = World()
    for step, point, cut in transition:
        world.meanwhile = {point: getattr(world, cut)} if point else {}
        await play(world, step)
    await play(world, "plan", "train")
    await world.settle()
    check_that_it_was_woken_once(world)


async def test_only_the_jobs_of_that_character_and_tenant_are_called() -> None:
    world = await play(World(), "plan", "dispatch", "look", "dispatch")
    assert world.job is not None
    others: tuple[dict[str, str | None], ...] = (
        {"tenant": "other"},
        {"character_id": JOB},
        {"phase": "rendering"},
        {"phase": None},
    )
    for place, fields in enumerate(others):
        job_id = f"0195940a-5b40-7d3e-b0c4-00000000000{place}"
        world.put(world.job.model_copy(update=fields | {"job_id": job_id}))
    calls = len(world.said(JobDue.topic))
    await play(world, "train", "announce", "hear")
    called = world.said(JobDue.topic)[calls:]
    assert [(call["job_id"], call["character_id"]) for call in called] == [(JOB, CHARACTER)]
