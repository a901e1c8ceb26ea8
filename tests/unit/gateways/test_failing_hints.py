"""A stream of hints that fails is in log, metric and health; readiness stays and attempts are polled."""

import asyncio
import math
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from services.gateways.comfyui.hints import Socket
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.engine import Engine
from services.gateways.runtime.hints import Hints
from services.gateways.runtime.provider import Hint, NoAnswer, Pace
from services.gateways.runtime.roll_call import RollCall
from shared.loops import Loops, current
from shared.observability import metrics
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import FakeProvider
from tests.fakes.waiting import background, until

Stream = Callable[[], AsyncGenerator[Hint, None]]


class StreamingProvider(FakeProvider):
    """Opens streams of hints as the test says."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.opened = 0

    async def hints(self) -> AsyncGenerator[Hint, None]:
        self.opened += 1
        async for hint in self.stream():
            yield hint

    def hints_about(self, handle: dict[str, str]) -> bool:
        return True


async def refused() -> AsyncGenerator[Hint, None]:
    raise NoAnswer("websocket: ConnectionRefusedError")
    yield


async def ends_at_once() -> AsyncGenerator[Hint, None]:
    return
    yield


async def has_a_bug() -> AsyncGenerator[Hint, None]:
    raise KeyError("a bug")
    yield


async def quiet() -> AsyncGenerator[Hint, None]:
    await asyncio.sleep(3600)
    yield Hint("x")


async def talks() -> AsyncGenerator[Hint, None]:
    yield Hint("x")
    await asyncio.sleep(3)


async def never_polled(attempt: Attempt) -> float | None:
    return math.inf


@asynccontextmanager
async def listening(bench: GatewayBench, provider: StreamingProvider) -> AsyncIterator[Loops]:
    loops = Loops("test")
    current.set(loops)
    hints = Hints(provider, Engine(never_polled, slots=1), bench.gateway)
    async with background(hints.listen):
        yield loops


@pytest.mark.parametrize(
    ("stream", "cause"), [(refused, "NoAnswer"), (ends_at_once, "StreamEnded"), (has_a_bug, "KeyError")]
)
async def test_a_stream_that_fails_is_logged_once_counted_and_named_and_readiness_stays(
    bench: GatewayBench, stream: Stream, cause: str
) -> None:
    provider = StreamingProvider(stream)
    count = metrics.loop_errors.labels("test", "hints", cause)._value
    before = count.get()
    with capture_logs() as lines:
        async with listening(bench, provider) as loops:
            await asyncio.sleep(100)
            assert loops.problems() is None
            assert str(loops.problems(vital=False)).startswith("hints keeps failing for 100 s: " + cause)
    assert count.get() - before == provider.opened
    assert 10 <= provider.opened <= 40, "again and again, with pauses"
    assert [line["cause"] for line in lines if line["event"] == "background_loop_failed"] == [cause]


@pytest.mark.parametrize("stream", [quiet, talks])
async def test_a_stream_that_stays_open_or_brings_a_hint_is_no_problem_any_more(
    bench: GatewayBench, stream: Stream
) -> None:
    provider = StreamingProvider(refused)
    async with listening(bench, provider) as loops:
        await asyncio.sleep(60)
        assert loops.problems(vital=False) is not None
        provider.stream = stream
        await asyncio.sleep(40)
        assert loops.problems(vital=False) is None


async def test_a_server_that_accepts_and_never_answers_fails_before_a_stream_counts_as_open(
    bench: GatewayBench,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        provider = StreamingProvider(Socket(f"http://127.0.0.1:{mute.getsockname()[1]}", "client").hints)
        async with listening(bench, provider) as loops:
            await until(lambda: provider.opened > 3, seconds=100)
            problem = str(loops.problems(vital=False))
    assert problem.startswith("hints keeps failing for ")
    assert "TimeoutError" in problem


class SilentList(FakeProvider):
    """A provider whose list of open submissions is not to be had."""

    async def unfinished(self) -> frozenset[str]:
        raise NoAnswer("HTTP 500")


async def test_a_list_that_is_not_to_be_had_is_named_and_readiness_stays(bench: GatewayBench) -> None:
    loops = Loops("test")
    current.set(loops)
    engine = Engine(never_polled, slots=1)
    gateway = bench.gateway
    pace = Pace(polls_per_second=0.001)
    attempt = await bench.take_in()
    attempt.state, attempt.handle = "submitted", {"id": "x"}
    engine.add([attempt])
    with capture_logs() as lines:
        async with background(RollCall(SilentList(), engine, gateway, pace).run):
            await asyncio.sleep(60)
            assert loops.problems() is None
            assert "ListUnavailable: HTTP 500" in str(loops.problems(vital=False))
    assert [line["event"] for line in lines] == ["background_loop_failed"]
    assert gateway.rarest_poll == 0.0, "without a list each attempt is polled as often as ever"
