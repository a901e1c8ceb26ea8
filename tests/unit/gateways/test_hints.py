"""What a hint changes of polling, whichever the provider."""

import asyncio
from collections.abc import Callable
from typing import Any

from contracts.renders import RenderProgressed
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.engine import Engine
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.provider import Hint, Pace, Working
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import FakeProvider, a_command
from tests.fakes.waiting import background, until


class HintingProvider(FakeProvider):
    """Tells whether hints come, as the test says."""

    hears = True

    async def hints(self) -> Any:
        yield Hint("x")

    def hints_about(self, handle: dict[str, str]) -> bool:
        return self.hears


async def test_polls_are_rare_while_hints_come_and_as_usual_when_they_do_not(
    bench: GatewayBench,
) -> None:
    provider = HintingProvider()
    pace = Pace(slowest_poll=2.0, slowest_poll_with_hints=5.0)
    gateway = Gateway(provider, bench.ledger, bench.lease, bench.publisher, pace)
    attempt = await bench.take_in()
    attempt.pause = 100.0
    attempt.handle = {"id": "x"}
    assert 4.0 <= gateway._slower(attempt) <= 6.0
    provider.hears = False
    assert 1.6 <= gateway._slower(attempt) <= 2.4


async def test_a_poll_that_knows_less_than_a_hint_says_nothing(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    await bench.gateway.hinted(attempt, 40)
    bench.provider.news = [Working("running"), Working("running", 30), Working("running", 60)]
    for _ in range(3):
        await bench.step(attempt)
    await bench.gateway.hinted(attempt, 50)
    assert [each.percent for each in bench.publisher.said(RenderProgressed)] == [40, 30, 60]


class Steps60:
    """Steps that wait for a minute, and one that is told to wait."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.then: Callable[[Attempt], None] = lambda attempt: None

    async def __call__(self, attempt: Attempt) -> float | None:
        self.taken.append(attempt.id)
        await self.hold.wait()
        self.then(attempt)
        return 60.0


def submitted(attempt: Attempt) -> None:
    attempt.state, attempt.handle = "submitted", {"id": f"external-{attempt.id}"}


async def test_what_is_hurried_during_its_step_takes_the_next_right_after_it() -> None:
    steps = Steps60()
    steps.then = submitted
    steps.hold.clear()
    engine = Engine(steps, slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken)
        assert engine.hurry(attempt.id)
        assert engine.hurry(attempt.id)
        steps.hold.set()
        await until(lambda: len(steps.taken) == 2)
        await asyncio.sleep(0.02)
        assert len(steps.taken) == 2, "once, however often it was hurried"


async def test_what_turned_out_not_to_be_sent_keeps_its_pause() -> None:
    steps = Steps60()
    steps.hold.clear()
    engine = Engine(steps, slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken)
        engine.hurry(attempt.id)
        steps.hold.set()
        await asyncio.sleep(0.02)
    assert steps.taken == [attempt.id]


async def test_what_was_not_sent_is_not_hurried() -> None:
    steps = Steps60()
    engine = Engine(steps, slots=1)
    backing_off, waiting = Attempt(a_command(), trace=None), Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([backing_off, waiting])
        await until(lambda: steps.taken)
        assert engine.hurry(backing_off.id)
        assert engine.hurry(waiting.id)
        assert not engine.hurry("of another process")
        engine.hurry_all()
        await asyncio.sleep(0.02)
    assert steps.taken == [backing_off.id, waiting.id], "each once"


async def test_an_attempt_is_found_by_both_its_ids_for_as_long_as_it_is_held() -> None:
    steps = Steps60()
    steps.then = submitted
    engine = Engine(steps, slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: engine.called(f"external-{attempt.id}") is attempt)
        assert engine.called(attempt.order.uuid) is attempt
        engine.drop_all()
        assert engine.called(attempt.order.uuid) is None
