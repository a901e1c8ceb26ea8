"""The engine with very many attempts: their order, and no starvation."""

import asyncio

from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.scheduling.engine import MAX_STEPS, Engine
from tests.fakes.ledger import set_state
from tests.fakes.provider import a_command
from tests.fakes.steps import as_step
from tests.fakes.waiting import background, until
from tests.unit.gateways.test_engine import Steps, an_attempt


async def test_attempts_of_a_takeover_are_polled_spread_over_time_and_resolved_at_once() -> None:
    steps = Steps(600.0)
    engine = Engine(as_step(steps), slots=100)
    polled, unknown, unwanted = ([an_attempt() for _ in range(9)] for _ in range(3))
    for attempt in polled + unwanted:
        set_state(attempt, "submitted", ref={"id": attempt.id})
    for attempt in unknown:
        set_state(attempt, "unknown")
    for attempt in unwanted:
        attempt.cancel = True
    async with background(engine.run):
        engine.add(polled + unknown + unwanted, poll_within=600.0)
        await until(lambda: steps.taken.keys() >= {each.id for each in unknown + unwanted})
    assert not steps.taken.keys() & {each.id for each in polled}


async def test_repeated_poll_requests_keep_the_attempts_turn() -> None:
    engine = Engine(as_step(Steps(600.0)), slots=1)
    attempt = an_attempt()
    set_state(attempt, "submitted", ref={"id": "x"})
    engine.add([attempt], poll_within=600.0)
    engine.poll_now(attempt.id)
    due = attempt.due
    await asyncio.sleep(0.01)
    engine.poll_now(attempt.id)
    assert attempt.due == due


async def test_a_new_attempt_begins_however_many_are_due() -> None:
    hold, begun = asyncio.Event(), list[Attempt]()

    async def step(attempt: Attempt) -> float | None:
        begun.append(attempt)
        await hold.wait()
        return None

    engine = Engine(as_step(step), slots=3 * MAX_STEPS)
    old, new = [an_attempt() for _ in range(2 * MAX_STEPS)], an_attempt()
    for attempt in old:
        set_state(attempt, "submitted", ref={"id": attempt.id})
    async with background(engine.run):
        engine.add(old)
        await until(lambda: begun)
        engine.add([new])
        await until(lambda: new in begun)
        hold.set()


async def test_hundreds_are_in_flight_without_a_task_for_each() -> None:
    begun: set[str] = set()
    most_tasks = 0

    async def step(attempt: Attempt) -> float | None:
        nonlocal most_tasks
        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
        begun.add(attempt.id)
        set_state(attempt, "submitted")
        await asyncio.sleep(0)
        return None if attempt.cancel else 60.0

    command = a_command()
    ids = [f"{command.job_id}/{index}/1" for index in range(600)]
    engine = Engine(as_step(step), slots=600)
    async with background(engine.run):
        engine.add(Attempt(command.model_copy(update={"attempt_id": id_}), trace=None) for id_ in ids)
        await until(lambda: len(begun) == 600)
        assert len(engine) == 600, "all are at the provider at once"
        engine.cancel(ids)
        await until(lambda: len(engine) == 0)
    assert most_tasks <= MAX_STEPS + 5
