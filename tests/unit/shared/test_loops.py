"""Background loops: what fails is logged once and tried again, what hangs is named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from shared.loops import Loops, current, every, watched
from shared.observability import metrics
from tests.fakes.waiting import background


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


class Work:
    """Counts its turns; `trouble` is raised in each, `hangs` keeps one from ending."""

    def __init__(self) -> None:
        self.turns = 0
        self.trouble: Exception | None = None
        self.hangs = False

    async def __call__(self) -> None:
        self.turns += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.trouble:
            raise self.trouble


@asynccontextmanager
async def _running(loop: Callable[[], Awaitable[None]]) -> AsyncIterator[Loops]:
    loops = Loops("test")
    current.set(loops)
    async with background(loop):
        yield loops


async def test_work_is_repeated_after_the_interval() -> None:
    work = Work()
    async with _running(lambda: every(10, work, name="sweep")):
        await asyncio.sleep(35)
    assert work.turns == 4


async def test_a_wake_up_shortens_the_interval() -> None:
    work, wake = Work(), asyncio.Event()
    async with _running(lambda: every(10, work, name="sweep", wake=wake)):
        await asyncio.sleep(1)
        wake.set()
        await asyncio.sleep(1)
        assert work.turns == 2


async def test_a_transient_error_is_logged_once_per_cause_counted_and_tried_again(
    lines: list[dict[str, object]],
) -> None:
    work = Work()
    count = metrics.loop_errors.labels("test", "sweep", "AutoReconnect")._value
    before = count.get()
    work.trouble = AutoReconnect("away")
    async with _running(lambda: every(1, work, name="sweep")) as loops:
        await asyncio.sleep(30)
        assert str(loops.problems()).startswith("sweep keeps failing for")
        assert "AutoReconnect: away" in str(loops.problems())
        failures = work.turns
        work.trouble = None
        await asyncio.sleep(3)
        assert loops.problems() is None
    assert 15 <= failures <= 60, "with pauses, and not ever longer ones"
    assert count.get() == before + failures
    assert [line["event"] for line in lines] == ["background_loop_failed", "background_loop_recovered"]


async def test_a_short_failure_is_no_problem() -> None:
    work = Work()
    work.trouble = AutoReconnect("away")
    async with _running(lambda: every(1, work, name="sweep")) as loops:
        await asyncio.sleep(5)
        assert loops.problems() is None


async def test_an_error_that_is_not_transient_ends_the_loop() -> None:
    work = Work()
    work.trouble = KeyError("a bug")
    with pytest.raises(KeyError):
        await every(1, work, name="sweep")


async def test_a_loop_that_may_not_end_survives_a_bug_and_says_so(lines: list[dict[str, object]]) -> None:
    work = Work()
    work.trouble = KeyError("a bug")
    async with _running(lambda: every(1, work, name="sweep", survives=True)) as loops:
        await asyncio.sleep(30)
        assert "KeyError" in str(loops.problems())
    assert work.turns > 5
    assert any(line["event"] == "background_loop_unexpected_error" for line in lines)


async def test_a_turn_that_hangs_is_named_logged_once_and_counted(lines: list[dict[str, object]]) -> None:
    work = Work()
    work.hangs = True
    stuck = metrics.loops_stuck.labels("test", "sweep")._value
    before = stuck.get()
    async with _running(lambda: every(1, work, name="sweep", limit=60)) as loops:
        await asyncio.sleep(50)
        loops.examine()
        assert loops.problems() is None
        await asyncio.sleep(20)
        for _ in range(3):
            loops.examine()
        assert str(loops.problems()).startswith("sweep hangs in one turn for 7")
        assert stuck.get() == before + 1
    assert [line["event"] for line in lines] == ["background_loop_stuck"]
    assert (loops.problems(), stuck.get()) == (None, before), "it has ended"


async def test_a_long_task_is_named_while_it_hangs() -> None:
    async def task() -> None:
        with watched("batch of t", limit=30):
            await asyncio.sleep(3600)

    async with _running(task) as loops:
        await asyncio.sleep(31)
        assert str(loops.problems()).startswith("batch of t hangs")


async def test_a_loop_that_is_not_vital_is_named_apart() -> None:
    work = Work()
    work.trouble = AutoReconnect("away")
    async with _running(lambda: every(1, work, name="hints", vital=False)) as loops:
        await asyncio.sleep(30)
        assert loops.problems() is None
        assert str(loops.problems(vital=False)).startswith("hints keeps failing for")


async def test_work_without_a_pause_is_not_tried_again_without_one() -> None:
    work = Work()
    work.trouble = AutoReconnect("away")
    async with _running(lambda: every(0, work, name="read")):
        await asyncio.sleep(10)
    assert 5 <= work.turns <= 30
