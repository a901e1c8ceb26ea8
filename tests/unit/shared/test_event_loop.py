"""A blocked event loop is reported: when the pause is over, and while it lasts, with its cause."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from shared.observability import metrics
from shared.observability.event_loop import watch_event_loop


@pytest.fixture
def lines() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


def a_slow_call(seconds: float) -> None:
    time.sleep(seconds)


async def _block(seconds: float, lasting: float) -> None:
    watching = asyncio.create_task(watch_event_loop("test", lasting))
    await asyncio.sleep(0.1)
    a_slow_call(seconds)
    await asyncio.sleep(0.1)
    watching.cancel()


async def _blocked(seconds: float, lasting: float) -> None:
    """On a loop with the real clock."""
    loop = asyncio.new_event_loop()
    await asyncio.to_thread(loop.run_until_complete, _block(seconds, lasting))
    loop.close()


async def test_a_pause_is_reported_and_counted_when_it_is_over(lines: list[dict[str, object]]) -> None:
    blocked = metrics.event_loop_blocked.labels("test")._value
    before = blocked.get()
    await _blocked(0.4, lasting=60)
    assert [line["event"] for line in lines] == ["event_loop_blocked"]
    assert blocked.get() - before >= 0.3


async def test_a_lasting_pause_is_reported_once_meanwhile_with_the_call_that_lasts(
    lines: list[dict[str, object]],
) -> None:
    await _blocked(1.0, lasting=0.2)
    meanwhile = [line for line in lines if line["event"] == "event_loop_still_blocked"]
    assert len(meanwhile) == 1
    assert "a_slow_call" in str(meanwhile[0]["stack"])
    assert lines.index(meanwhile[0]) == 0, "before the pause was over"
