"""A failing stream or list is in log, metric and health; readiness stays and attempts are polled."""

import asyncio
import math
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from services.gateways.comfyui.progress_hints import Socket
from services.gateways.kit.provider import ProgressHint, StatusUnavailable
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.progress_stream import ProgressStream
from services.gateways.runtime.recovery.reconciler import Reconciler
from services.gateways.runtime.scheduling.engine import Engine
from shared.loops import Loops, current
from shared.observability import metrics
from tests.fakes.ledger import GatewayHarness, set_state
from tests.fakes.provider import FakeProvider
from tests.fakes.steps import as_step
from tests.fakes.waiting import background, until

Stream = Callable[[], AsyncGenerator[ProgressHint, None]]


class StreamingProvider(FakeProvider):
    """Opens the streams that a test gives."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.opened = 0

    async def progress_hints(self) -> AsyncGenerator[ProgressHint, None]:
        self.opened += 1
        async for hint in self.stream():
            yield hint

    def is_streamed(self, ref: dict[str, str]) -> bool:
        return True


async def refused() -> AsyncGenerator[ProgressHint, None]:
    raise StatusUnavailable("websocket: ConnectionRefusedError")
    yield


async def ends_at_once() -> AsyncGenerator[ProgressHint, None]:
    return
    yield


async def has_a_bug() -> AsyncGenerator[ProgressHint, None]:
    raise KeyError("a bug")
    yield


async def quiet() -> AsyncGenerator[ProgressHint, None]:
    await asyncio.sleep(3600)
    yield ProgressHint("x")


async def talks() -> AsyncGenerator[ProgressHint, None]:
    yield ProgressHint("x")
    await asyncio.sleep(3)


async def never_polled(attempt: Attempt) -> float | None:
    return math.inf


@asynccontextmanager
async def listening(harness: GatewayHarness, provider: StreamingProvider) -> AsyncIterator[Loops]:
    loops = Loops("test")
    current.set(loops)
    hints = ProgressStream(
        provider, Engine(as_step(never_polled), slots=1), harness.executor.publish_progress, lambda: None
    )
    async with background(hints.listen):
        yield loops


@pytest.mark.parametrize(
    ("stream", "cause"),
    [(refused, "StatusUnavailable"), (ends_at_once, "StreamEnded"), (has_a_bug, "KeyError")],
)
async def test_a_failing_stream_is_logged_once_counted_and_named_and_readiness_stays(
    harness: GatewayHarness, stream: Stream, cause: str
) -> None:
    provider = StreamingProvider(stream)
    count = metrics.loop_errors.labels("test", "progress stream", cause)._value
    before = count.get()
    with capture_logs() as lines:
        async with listening(harness, provider) as loops:
            await asyncio.sleep(100)
            assert loops.problems() is None
            assert str(loops.problems(vital=False)).startswith(
                "progress stream keeps failing for 100 s: " + cause
            )
    assert count.get() - before == provider.opened
    assert 10 <= provider.opened <= 40, "again and again, with pauses"
    assert [line["cause"] for line in lines if line["event"] == "background_loop_failed"] == [cause]


@pytest.mark.parametrize("stream", [quiet, talks])
async def test_a_stream_that_stays_open_or_brings_a_hint_is_healthy(
    harness: GatewayHarness, stream: Stream
) -> None:
    provider = StreamingProvider(refused)
    async with listening(harness, provider) as loops:
        await asyncio.sleep(60)
        assert loops.problems(vital=False) is not None
        provider.stream = stream
        await asyncio.sleep(40)
        assert loops.problems(vital=False) is None


async def test_a_server_that_accepts_and_never_answers_fails_before_a_stream_counts_as_open(
    harness: GatewayHarness,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        provider = StreamingProvider(
            Socket(f"http://127.0.0.1:{mute.getsockname()[1]}", "client").progress_hints
        )
        async with listening(harness, provider) as loops:
            await until(lambda: provider.opened > 3, seconds=100)
            problem = str(loops.problems(vital=False))
    assert problem.startswith("progress stream keeps failing for ")
    assert "TimeoutError" in problem


class SilentList(FakeProvider):
    """A provider whose list of unfinished submissions is unavailable."""

    async def unfinished(self) -> frozenset[str]:
        raise StatusUnavailable("HTTP 500")


async def test_an_unavailable_inventory_is_named_and_readiness_stays(harness: GatewayHarness) -> None:
    loops = Loops("test")
    current.set(loops)
    engine = Engine(as_step(never_polled), slots=1)
    executor = harness.executor
    limits = ProviderLimits(polls_per_second=0.001)
    attempt = await harness.accept()
    set_state(attempt, "submitted", ref={"id": "x"})
    engine.add([attempt])
    with capture_logs() as lines:
        async with background(
            Reconciler(harness.attempts.mongo, SilentList(), engine, harness.lease, executor, limits).run
        ):
            await asyncio.sleep(60)
            assert loops.problems() is None
            assert "InventoryUnavailable: HTTP 500" in str(loops.problems(vital=False))
    assert [line["event"] for line in lines] == ["background_loop_failed"]
    assert executor.limits.min_poll_interval == 0.0, "without a list each attempt is polled as often as ever"


class RecoveringList(FakeProvider):
    """A provider whose list fails a number of times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.listed = 0

    async def unfinished(self) -> frozenset[str]:
        self.listed += 1
        if self.listed <= self.failures:
            raise StatusUnavailable("HTTP 500")
        return frozenset()


async def test_a_requested_check_is_repeated_until_the_inventory_is_available(
    harness: GatewayHarness,
) -> None:
    current.set(Loops("test"))
    engine = Engine(as_step(never_polled), slots=1)
    engine.add([set_state(await harness.accept(), "submitted", ref={"id": "x"})])
    provider, limits = RecoveringList(failures=0), ProviderLimits(reconcile_interval=3600.0)
    reconciler = Reconciler(harness.attempts.mongo, provider, engine, harness.lease, harness.executor, limits)
    async with background(reconciler.run):
        await until(lambda: provider.listed == 1)
        await asyncio.sleep(30)
        assert provider.listed == 1, "the next check is due in an hour"
        provider.failures = 3
        reconciler.request()
        await asyncio.sleep(30)
    assert provider.listed == 4, "two failures and a success"
