"""The engine: slots, priority, one step at a time for each attempt, no task for waiting attempts."""

import asyncio
from collections import Counter

import pytest

from services.gateways.runtime.lifecycle.attempt import Attempt, Facts
from services.gateways.runtime.scheduling.engine import Engine
from shared.errors import TransientError
from tests.fakes.ledger import set_state
from tests.fakes.provider import a_command
from tests.fakes.steps import as_step
from tests.fakes.waiting import background, until


def an_attempt(**fields: object) -> Attempt:
    return Attempt(a_command(**fields), trace=None)  # type: ignore[arg-type]


class Steps:
    """Submits each attempt, counts its steps and returns the next pause of a plan."""

    def __init__(self, *plan: float | None) -> None:
        self.plan = plan
        self.taken: Counter[str] = Counter()
        self.request: list[int] = []
        self.together = self.most_together = 0

    async def __call__(self, attempt: Attempt) -> float | None:
        self.request.append(attempt.command.priority)
        set_state(attempt, "submitted")
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        position = self.taken[attempt.id]
        self.taken[attempt.id] += 1
        return self.plan[min(position, len(self.plan) - 1)]


async def test_every_attempt_is_stepped_to_its_end() -> None:
    steps = Steps(0.0, 0.001, None)
    engine = Engine(as_step(steps), slots=4)
    attempts = [an_attempt() for _ in range(20)]
    async with background(engine.run):
        engine.add(attempts)
        await until(lambda: len(engine) == 0)
    assert steps.taken == {attempt.id: 3 for attempt in attempts}


async def test_no_more_than_its_slots_are_at_the_provider() -> None:
    begun: set[str] = set()
    free = asyncio.Event()

    async def step(attempt: Attempt) -> float | None:
        begun.add(attempt.id)
        set_state(attempt, "submitted")
        return None if free.is_set() else 0.001

    engine = Engine(as_step(step), slots=3)
    async with background(engine.run):
        engine.add(an_attempt() for _ in range(10))
        await until(lambda: len(begun) == 3)
        await asyncio.sleep(0.02)
        assert len(begun) == 3
        free.set()
        await until(lambda: len(engine) == 0)
    assert len(begun) == 10


async def test_the_lowest_number_goes_first_and_equals_in_order() -> None:
    steps = Steps(None)
    engine = Engine(as_step(steps), slots=1)
    engine.add(an_attempt(priority=priority) for priority in (5, 9, 0, 5, 1))
    async with background(engine.run):
        await until(lambda: len(engine) == 0)
    assert steps.request == [0, 1, 5, 5, 9]


async def test_a_submitted_attempt_continues_without_waiting_for_a_slot() -> None:
    steps = Steps(None)
    engine = Engine(as_step(steps), slots=1)
    taken_over = an_attempt()
    set_state(taken_over, "submitted")
    busy = an_attempt()
    set_state(busy, "unknown")
    engine.add([taken_over, busy])
    async with background(engine.run):
        await until(lambda: len(engine) == 0)
    assert len(steps.taken) == 2


async def test_an_attempt_has_one_chain_of_steps_however_often_it_is_cancelled() -> None:
    steps = Steps(0.02)
    engine = Engine(as_step(steps), slots=1)
    attempt = an_attempt()
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken[attempt.id] == 1)
        engine.cancel([attempt.id])
        engine.cancel([attempt.id])
        engine.add([attempt])
        await until(lambda: steps.taken[attempt.id] == 2)
        before = steps.taken[attempt.id]
        await asyncio.sleep(0.25)
        assert steps.taken[attempt.id] - before <= 13


async def test_an_attempt_is_never_in_two_steps_at_once() -> None:
    steps = Steps(0.0)
    engine = Engine(as_step(steps), slots=1)
    attempt = an_attempt()
    async with background(engine.run):
        engine.add([attempt])
        for _ in range(20):
            attempt.cancel = False
            engine.cancel([attempt.id])
            await asyncio.sleep(0)
        await until(lambda: steps.taken[attempt.id] > 20)
    assert steps.most_together == 1


async def test_a_cancel_does_not_wait_for_the_next_poll() -> None:
    steps = Steps(60.0)
    engine = Engine(as_step(steps), slots=1)
    attempt = an_attempt()
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken[attempt.id] == 1)
        engine.cancel([attempt.id])
        await until(lambda: steps.taken[attempt.id] == 2)
    assert attempt.cancel


async def test_a_cancel_does_not_wait_for_a_slot() -> None:
    async def step(attempt: Attempt) -> float | None:
        set_state(attempt, "submitted")
        return None if attempt.cancel else 60.0

    engine = Engine(as_step(step), slots=1)
    first, waiting = an_attempt(), an_attempt()
    async with background(engine.run):
        engine.add([first, waiting])
        await asyncio.sleep(0.01)
        engine.cancel([waiting.id, "unknown to us"])
        await until(lambda: len(engine) == 1)
        engine.cancel([first.id])
        await until(lambda: len(engine) == 0)


async def test_a_cancel_during_a_step_is_seen_right_after_it() -> None:
    release = asyncio.Event()
    seen: list[bool] = []

    async def step(attempt: Attempt) -> float | None:
        seen.append(attempt.cancel)
        await release.wait()
        return None if attempt.cancel and len(seen) > 1 else 60.0

    engine = Engine(as_step(step), slots=1)
    attempt = an_attempt()
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: seen)
        engine.cancel([attempt.id])
        await asyncio.sleep(0.005)
        release.set()
        await until(lambda: len(engine) == 0)
    assert seen == [False, True]


@pytest.mark.timeout(10)
async def test_a_step_that_fails_is_repeated() -> None:
    tries: Counter[str] = Counter()

    async def step(attempt: Attempt) -> float | None:
        tries[attempt.id] += 1
        if tries[attempt.id] == 1:
            raise TransientError("the database is away")
        return None

    engine = Engine(as_step(step), slots=1)
    engine.add([an_attempt()])
    async with background(engine.run):
        await until(lambda: len(engine) == 0)
    assert list(tries.values()) == [2]


async def test_an_attempt_that_is_added_again_is_the_one_in_hand() -> None:
    stepped: list[Attempt] = []

    async def step(attempt: Attempt) -> float | None:
        stepped.append(attempt)
        return None if len(stepped) == 2 else 0.001

    engine = Engine(as_step(step), slots=1)
    attempt = an_attempt()
    async with background(engine.run):
        engine.add([attempt])
        engine.add([Attempt(attempt.command, trace=None)])
        await until(lambda: len(engine) == 0)
    assert [each is attempt for each in stepped] == [True, True]


async def test_a_dropped_attempt_takes_no_further_step() -> None:
    steps = Steps(0.002)
    engine = Engine(as_step(steps), slots=2)
    async with background(engine.run):
        engine.add(an_attempt() for _ in range(5))
        await until(lambda: steps.taken.total() > 4)
        engine.drop_all()
        await asyncio.sleep(0.01)
        before = steps.taken.total()
        await asyncio.sleep(0.02)
    assert (len(engine), steps.taken.total()) == (0, before)


async def test_an_attempt_that_is_added_again_survives_the_last_step_before() -> None:
    release = asyncio.Event()
    begun: list[Attempt] = []

    async def step(attempt: Attempt) -> float | None:
        begun.append(attempt)
        if len(begun) == 1:
            await release.wait()
            return None
        return 60.0

    engine = Engine(as_step(step), slots=1)
    former = an_attempt()
    again = Attempt(former.command, trace=None, facts=Facts("unknown"))
    async with background(engine.run):
        engine.add([former])
        await until(lambda: begun)
        engine.drop_all()
        engine.add([again])
        release.set()
        await until(lambda: len(begun) == 2)
        await asyncio.sleep(0.005)
    assert len(engine) == 1


@pytest.mark.parametrize("turns", range(4))
async def test_an_end_is_not_lost_when_a_poll_is_requested_at_the_same_moment(turns: int) -> None:
    steps = Steps(60.0)
    engine = Engine(as_step(steps), slots=1)
    engine.add([an_attempt()])
    running = asyncio.create_task(engine.run())
    await until(lambda: steps.taken)
    engine.resize(2)
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=1.0)
    assert ended


async def test_an_attempt_that_waits_with_nothing_sent_has_no_slot() -> None:
    """The attempt returns after its pause; a cancel does not wait for it."""
    time = asyncio.get_running_loop().time
    begun: list[tuple[int, float]] = []

    async def step(attempt: Attempt) -> float | None:
        begun.append((attempt.command.priority, round(time())))
        return 30.0 if attempt.command.priority < 5 and len(begun) < 4 and not attempt.cancel else None

    engine = Engine(as_step(step), slots=1)
    busy, cancelled = an_attempt(priority=0), an_attempt(priority=1)
    started = round(time())
    async with background(engine.run):
        engine.add([busy, cancelled, an_attempt(priority=5)])
        await until(lambda: len(begun) == 3)
        assert engine.in_flight == 0
        engine.cancel([cancelled.id])
        await asyncio.sleep(30.0)
        await until(lambda: len(engine) == 0)
    assert begun == [(0, started), (1, started), (5, started), (1, started), (0, started + 30)]


async def test_the_queue_keeps_its_order_while_nothing_may_be_sent() -> None:
    time = asyncio.get_running_loop().time
    steps, opens = Steps(None), time() + 20.0
    engine = Engine(as_step(steps), 4, lambda: max(0.0, opens - time()))
    async with background(engine.run):
        engine.add([an_attempt(priority=5)])
        await asyncio.sleep(10.0)
        engine.add([an_attempt(priority=1)])
        assert steps.request == []
        await until(lambda: len(engine) == 0, seconds=15)
    assert steps.request == [1, 5]
