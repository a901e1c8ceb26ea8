"""Failing steps of attempts are logged and counted; steps that keep failing are named in health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from services.gateways.runtime.lifecycle.attempt import Attempt, Facts, State
from services.gateways.runtime.scheduling.engine import Engine
from shared.errors import TransientError
from shared.loops import Loops, current
from shared.observability import metrics
from tests.fakes.ledger import set_state
from tests.fakes.provider import a_command
from tests.fakes.steps import as_step
from tests.fakes.waiting import background


class Steps:
    """Polls of submitted attempts; the ones named in `broken` fail, or all of them."""

    def __init__(self) -> None:
        self.broken: set[str] | None = set()
        self.error: Exception = KeyError("a bug")
        self.ended = False

    async def __call__(self, attempt: Attempt) -> float | None:
        if self.broken is None or attempt.id in self.broken:
            raise self.error
        return None if self.ended else 1.0


def submitted(count: int) -> list[Attempt]:
    return [Attempt(a_command(), trace=None, facts=Facts("submitted", {"id": "x"})) for _ in range(count)]


@asynccontextmanager
async def working(steps: Steps, attempts: list[Attempt]) -> AsyncIterator[Loops]:
    loops = Loops("test")
    current.set(loops)
    engine = Engine(as_step(steps), slots=10)
    with capture_logs():
        async with background(engine.run):
            engine.add(attempts)
            yield loops


@pytest.mark.parametrize("error", [KeyError("a bug"), TransientError("the database is away")])
async def test_a_step_that_fails_for_every_attempt_ends_readiness_until_one_succeeds(
    error: Exception,
) -> None:
    steps, attempts = Steps(), submitted(3)
    steps.broken, steps.error = None, error
    async with working(steps, attempts) as loops:
        await asyncio.sleep(50)
        assert (loops.problems(), loops.problems(vital=False)) == (None, None), "it may be over by itself"
        await asyncio.sleep(15)
        assert str(loops.problems()).startswith("poll step keeps failing for 6")
        assert type(error).__name__ in str(loops.problems())
        steps.broken = set()
        await asyncio.sleep(31)
        assert (loops.problems(), loops.problems(vital=False)) == (None, None)


async def test_the_only_attempt_that_fails_is_named_and_readiness_stays() -> None:
    steps, attempts = Steps(), submitted(1)
    steps.broken = None
    async with working(steps, attempts) as loops:
        await asyncio.sleep(100)
        assert loops.problems() is None
        assert str(loops.problems(vital=False)).startswith("poll step keeps failing for 100 s: KeyError")


async def test_an_attempt_that_fails_while_others_succeed_is_no_problem() -> None:
    steps, attempts = Steps(), submitted(5)
    steps.broken = {attempts[0].id}
    async with working(steps, attempts) as loops:
        await asyncio.sleep(200)
        assert (loops.problems(), loops.problems(vital=False)) == (None, None)


async def test_a_step_of_one_kind_that_succeeds_does_not_hide_another_that_fails() -> None:
    steps, attempts = Steps(), submitted(5)
    for attempt in attempts[:2]:
        set_state(attempt, "unknown", ref=None)
    steps.broken = {attempt.id for attempt in attempts[:2]}
    async with working(steps, attempts) as loops:
        await asyncio.sleep(100)
        assert str(loops.problems()).startswith("resolve step keeps failing for 100 s")


async def test_failures_that_are_not_repeated_are_forgotten() -> None:
    steps, attempts = Steps(), submitted(2)
    steps.broken = None

    async def lost(attempt: Attempt) -> float | None:
        await steps(attempt)
        return None

    loops = Loops("test")
    current.set(loops)
    engine = Engine(as_step(lost), slots=10)
    with capture_logs():
        async with background(engine.run):
            engine.add(attempts)
            await asyncio.sleep(65)
            assert loops.problems() is not None
            engine.drop_all()
            await asyncio.sleep(95)
            assert loops.problems() is None
            engine.add(submitted(1))
            await asyncio.sleep(62)
            assert loops.problems() is None, "the two from before do not count"
            assert str(loops.problems(vital=False)).startswith("poll step keeps failing for 62 s")


async def test_an_attempt_that_is_given_up_for_its_errors_is_no_success() -> None:
    async def step(attempt: Attempt) -> float | None:
        errors = attempt.facts.unexpected_errors + 1
        attempt.facts = Facts(unexpected_errors=errors)
        if errors < 3:
            raise KeyError("a bug")
        return None

    loops = Loops("test")
    current.set(loops)
    engine = Engine(as_step(step), slots=10)
    with capture_logs():
        async with background(engine.run):
            for _ in range(10):
                engine.add([Attempt(a_command(), trace=None)])
                await asyncio.sleep(20)
            assert str(loops.problems()).startswith("submit step keeps failing for 200 s")


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("accepted", "submit step"),
        ("unknown", "resolve step"),
        ("submitting", "resolve step"),
        ("submitted", "poll step"),
    ],
)
async def test_every_failure_is_counted_and_each_cause_is_logged_once_by_the_kind_of_step(
    state: State, name: str
) -> None:
    async def step(attempt: Attempt) -> float | None:
        raise KeyError("a bug")

    count = metrics.loop_errors.labels("test", name, "KeyError")._value
    before = count.get()
    current.set(Loops("test"))
    engine = Engine(as_step(step), slots=10)
    with capture_logs() as lines:
        async with background(engine.run):
            engine.add([Attempt(a_command(), trace=None, facts=Facts(state))])
            await asyncio.sleep(100)
    assert count.get() == before + 4
    events = [line["event"] for line in lines]
    assert (events.count("background_loop_failed"), events.count("step_failed")) == (1, 4)
