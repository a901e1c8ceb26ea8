"""A job that waits for a LoRA is woken by it, in any order of steps and with any process killed."""

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
from tests.fakes.dispatcher import DispatcherSimulation, Point

COMMANDS = RenderRequested.topic.format(provider="modal")
POINTS: tuple[Point, ...] = ("read", "write", "send", "commit", "call")


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def check_that_it_was_woken_once(simulation: DispatcherSimulation) -> None:
    (command,) = simulation.published(COMMANDS)
    assert command["attempt_id"] == f"{JOB}/0/1"
    assert command["spec"]["lora"]["key"] == LORA.key
    assert simulation.job is not None
    assert simulation.job.phase == "queued"


async def play(simulation: DispatcherSimulation, *steps: str) -> DispatcherSimulation:
    for step in steps:
        await getattr(simulation, step)()
    return simulation


async def test_a_waiting_job_is_woken_by_its_lora_and_not_by_the_clock() -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look", "dispatch")
    assert (waiting := simulation.job) is not None
    assert waiting.wake_at is not None
    await play(simulation, "train", "announce", "read_announcements", "dispatch")
    check_that_it_was_woken_once(simulation)
    assert simulation.now < waiting.wake_at


async def test_a_lora_that_was_announced_before_the_job_existed_is_found_by_its_first_check() -> None:
    simulation = await play(
        DispatcherSimulation(),
        "train",
        "announce",
        "read_announcements",
        "plan",
        "dispatch",
        "look",
        "dispatch",
    )
    check_that_it_was_woken_once(simulation)


@pytest.mark.parametrize("cut", ["write", "send"])
async def test_a_lora_that_is_announced_while_the_job_is_written_is_not_missed(cut: Point) -> None:
    simulation = await play(DispatcherSimulation(), "plan")
    simulation.meanwhile = {cut: lambda: _announced_and_heard(simulation)}
    await play(simulation, "dispatch", "look", "dispatch", "dispatch")
    check_that_it_was_woken_once(simulation)


async def test_a_lora_that_is_announced_right_after_a_check_wakes_the_job() -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look")
    simulation.meanwhile = {"read": lambda: _announced_and_heard(simulation)}
    await play(simulation, "dispatch", "dispatch")
    check_that_it_was_woken_once(simulation)


async def _announced_and_heard(simulation: DispatcherSimulation) -> None:
    await play(simulation, "train", "announce", "read_announcements")


async def test_a_dispatcher_killed_between_write_and_publish_is_taken_over() -> None:
    simulation = await play(DispatcherSimulation(), "plan")
    simulation.meanwhile = {"send": simulation.die}
    await play(simulation, "dispatch", "train", "announce", "read_announcements")
    assert simulation.job is not None
    assert not simulation.published("job.events.v1")
    await play(simulation, "dispatch")
    check_that_it_was_woken_once(simulation)
    assert [event["event"] for event in simulation.published("job.events.v1")] == ["accepted"]


async def test_a_lost_timer_message_is_published_again() -> None:
    simulation = await play(
        DispatcherSimulation(), "train", "announce", "read_announcements", "plan", "dispatch"
    )
    simulation.meanwhile = {"call": simulation.die}
    await play(simulation, "look")
    assert not simulation.published(JobDue.topic)
    await play(simulation, "look", "dispatch")
    check_that_it_was_woken_once(simulation)


async def test_a_dispatcher_killed_while_it_wakes_a_job_wakes_it_again() -> None:
    simulation = await play(
        DispatcherSimulation(), "plan", "dispatch", "look", "dispatch", "train", "announce"
    )
    simulation.meanwhile = {"send": simulation.die}
    await play(simulation, "read_announcements")
    assert len(simulation.published(JobDue.topic)) == 1
    await play(simulation, "read_announcements", "dispatch")
    check_that_it_was_woken_once(simulation)


async def test_a_failed_training_ends_the_jobs_that_wait_for_it_once_the_failure_is_confirmed() -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look", "dispatch")
    await play(simulation, "fail", "announce", "read_announcements", "dispatch")
    assert simulation.job is not None
    assert not simulation.job.terminal, "the acceptance of another training may not have been read yet"
    simulation.now += timedelta(seconds=POLICIES.confirm_lora_failure_seconds)
    await play(simulation, "look", "dispatch")
    assert simulation.job.error is not None
    assert (simulation.job.error.code, simulation.job.terminal) == ("lora_failed", True)
    assert not simulation.published(COMMANDS)


@pytest.mark.parametrize("accepted_after_the_failure", [False, True])
async def test_a_job_outlives_a_failed_training_while_another_one_is_ahead(
    accepted_after_the_failure: bool,
) -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look", "dispatch")
    if not accepted_after_the_failure:
        simulation.begin_chain()
    await play(simulation, "fail", "announce", "read_announcements", "dispatch")
    if accepted_after_the_failure:
        simulation.begin_chain()
    simulation.now += timedelta(seconds=60)
    await play(simulation, "look", "dispatch", "train", "announce", "read_announcements", "dispatch")
    check_that_it_was_woken_once(simulation)


async def test_a_job_ends_when_the_chain_with_the_other_training_has_failed() -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look", "dispatch")
    simulation.begin_chain()
    await play(simulation, "fail", "announce", "read_announcements", "dispatch")
    simulation.end_chain("failed")
    simulation.now += timedelta(seconds=60)
    await play(simulation, "look", "dispatch")
    assert simulation.job is not None
    assert simulation.job.error is not None
    assert simulation.job.error.code == "lora_failed"


async def test_every_order_of_the_steps_ends_in_the_same() -> None:
    for order in permutations(("plan", "train", "dispatch", "look", "announce", "read_announcements")):
        if order.index("plan") > order.index("dispatch") or order.index("train") > order.index("announce"):
            continue  # nothing is there to be dispatched, or announced
        simulation = await play(DispatcherSimulation(), *order)
        await simulation.settle()
        check_that_it_was_woken_once(simulation)


STEPS = ("plan", "dispatch", "dispatch", "look", "train", "announce", "read_announcements")


@given(
    transition=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.sampled_from([None, None, *POINTS]),
            st.sampled_from(["die", "die", "train", "announce", "read_announcements", "look"]),
        ),
        max_size=14,
    )
)
async def test_no_kill_and_no_interleaving_loses_a_wake_up(
    transition: list[tuple[str, Point | None, str]],
) -> None:
    simulation = DispatcherSimulation()
    for step, point, cut in transition:
        simulation.meanwhile = {point: getattr(simulation, cut)} if point else {}
        await play(simulation, step)
    await play(simulation, "plan", "train")
    await simulation.settle()
    check_that_it_was_woken_once(simulation)


async def test_only_the_jobs_of_that_character_and_tenant_are_woken() -> None:
    simulation = await play(DispatcherSimulation(), "plan", "dispatch", "look", "dispatch")
    assert simulation.job is not None
    others: tuple[dict[str, str | None], ...] = (
        {"tenant": "other"},
        {"character_id": JOB},
        {"phase": "rendering"},
        {"phase": None},
    )
    for place, fields in enumerate(others):
        job_id = f"0195940a-5b40-7d3e-b0c4-00000000000{place}"
        simulation.put(simulation.job.model_copy(update=fields | {"job_id": job_id}))
    calls = len(simulation.published(JobDue.topic))
    await play(simulation, "train", "announce", "read_announcements")
    called = simulation.published(JobDue.topic)[calls:]
    assert [(call["job_id"], call["character_id"]) for call in called] == [(JOB, CHARACTER)]
