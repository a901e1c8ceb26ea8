"""Effect of hints on polling, for any provider."""

import asyncio
from collections.abc import Callable
from typing import Any

from contracts.renders import RenderProgressed
from services.gateways.kit.provider import InProgress, ProgressHint
from services.gateways.runtime.executor import Executor
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.intervals import jittered
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.scheduling.engine import Engine
from tests.fakes.ledger import GatewayHarness, set_state
from tests.fakes.provider import RUNNING, FakeProvider, a_command
from tests.fakes.steps import as_step
from tests.fakes.waiting import background, until


class HintingProvider(FakeProvider):
    """A provider that streams hints while `streams` is set."""

    streams = True

    async def progress_hints(self) -> Any:
        yield ProgressHint("x")

    def is_streamed(self, ref: dict[str, str]) -> bool:
        return self.streams


async def test_polls_are_rare_while_hints_are_streamed(
    harness: GatewayHarness,
) -> None:
    provider = HintingProvider()
    provider.statuses = [RUNNING, RUNNING]
    limits = ProviderLimits(max_poll_interval=2.0, max_poll_interval_streaming=5.0)
    executor = Executor(provider, harness.ledger, harness.lease, harness.publisher, limits)
    attempt = set_state(await harness.accept(), "submitted", ref={"id": "x"}, poll_interval=100.0)
    assert await executor.step(attempt) == jittered(5.0)
    provider.streams = False
    assert await executor.step(attempt) == jittered(2.0)


async def test_a_poll_that_reports_less_than_a_hint_publishes_nothing(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    await harness.executor.publish_progress(attempt, 40)
    harness.provider.statuses = [InProgress("running"), InProgress("running", 30), InProgress("running", 60)]
    for _ in range(3):
        await harness.step(attempt)
    await harness.executor.publish_progress(attempt, 50)
    assert [each.percent for each in harness.publisher.said(RenderProgressed)] == [40, 30, 60]


class MinuteSteps:
    """Steps that wait for a minute, and block while `hold` is not set."""

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
    set_state(attempt, "submitted", ref={"id": f"external-{attempt.id}"})


async def test_a_poll_request_during_a_step_makes_the_next_step_immediate() -> None:
    steps = MinuteSteps()
    steps.then = submitted
    steps.hold.clear()
    engine = Engine(as_step(steps), slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken)
        assert engine.poll_now(attempt.id)
        assert engine.poll_now(attempt.id)
        steps.hold.set()
        await until(lambda: len(steps.taken) == 2)
        await asyncio.sleep(0.02)
        assert len(steps.taken) == 2, "once, however often it was hurried"


async def test_an_attempt_that_was_not_accepted_keeps_its_pause() -> None:
    steps = MinuteSteps()
    steps.hold.clear()
    engine = Engine(as_step(steps), slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: steps.taken)
        engine.poll_now(attempt.id)
        steps.hold.set()
        await asyncio.sleep(0.02)
    assert steps.taken == [attempt.id]


async def test_a_poll_request_does_not_submit_an_unsent_attempt() -> None:
    steps = MinuteSteps()
    engine = Engine(as_step(steps), slots=1)
    backing_off, waiting = Attempt(a_command(), trace=None), Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([backing_off, waiting])
        await until(lambda: steps.taken)
        assert engine.poll_now(backing_off.id)
        assert engine.poll_now(waiting.id)
        assert not engine.poll_now("of another process")
        engine.poll_all_now()
        await asyncio.sleep(0.02)
    assert steps.taken == [backing_off.id, waiting.id], "each once"


async def test_an_attempt_is_found_by_both_its_ids_for_as_long_as_it_is_held() -> None:
    steps = MinuteSteps()
    steps.then = submitted
    engine = Engine(as_step(steps), slots=1)
    attempt = Attempt(a_command(), trace=None)
    async with background(engine.run):
        engine.add([attempt])
        await until(lambda: engine.by_external_id(f"external-{attempt.id}") is attempt)
        assert engine.by_external_id(attempt.request.idempotency_key) is attempt
        engine.drop_all()
        assert engine.by_external_id(attempt.request.idempotency_key) is None
