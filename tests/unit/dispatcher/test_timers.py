"""Due jobs are called, once for each wake-up time."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect

from contracts.jobs import JobDue
from services.dispatcher.timers import job_timers
from shared.clock import now
from shared.due_timers import PAGE
from shared.envelope import Outgoing
from shared.errors import TransientError
from shared.ids import uuid7
from shared.kafka.publisher import Publisher
from shared.mongo import Collection
from tests.fakes.builders import CHARACTER, JOB, MIA, TRACE
from tests.fakes.documents import FakeCollection

SECOND = timedelta(seconds=1)


class FakePublisher:
    """Keeps the published messages, unless it fails."""

    def __init__(self) -> None:
        self.outputs: list[Outgoing] = []
        self.pages: list[int] = []
        self.failures: list[Exception] = []

    async def publish(self, outputs: Iterable[Outgoing]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        before = len(self.outputs)
        self.outputs += outputs
        self.pages.append(len(self.outputs) - before)


class Bench:
    def __init__(self, wake_in: float | None) -> None:
        self.publisher = FakePublisher()
        self.jobs = FakeCollection({"_id": JOB, "trace": TRACE, "wake_at": None})
        self.timers = job_timers(cast(Collection, self.jobs), cast(Publisher, self.publisher))
        if wake_in is not None:
            self.wake(wake_in)

    def wake(self, seconds: float) -> None:
        self.jobs.kept[JOB]["wake_at"] = now() + timedelta(seconds=seconds)

    def called(self) -> list[Any]:
        return [each.message for each in self.publisher.outputs]


async def test_a_due_job_is_called_in_its_own_trace() -> None:
    bench = Bench(wake_in=-1)
    await bench.timers.publish_due()
    (outgoing,) = bench.publisher.outputs
    assert outgoing.message == JobDue(job_id=JOB, due_at=bench.jobs.kept[JOB]["wake_at"])
    assert outgoing.trace == TRACE


@pytest.mark.parametrize(
    ("phase", "named"),
    [
        ("waiting_for_lora", MIA),
        ("waiting_for_character", MIA),
        ("rendering", (None, None)),
        (None, (None, None)),
    ],
)
async def test_a_due_message_names_the_awaited_character(
    phase: str | None, named: tuple[str | None, str | None]
) -> None:
    bench = Bench(wake_in=-1)
    bench.jobs.kept[JOB] |= {"phase": phase, "tenant": "acme", "character_id": CHARACTER}
    await bench.timers.publish_due()
    assert [(call.tenant, call.character_id) for call in bench.called()] == [named]


@pytest.mark.parametrize("wake_in", [60, None])
async def test_a_job_that_is_not_due_is_not_called(wake_in: float | None) -> None:
    bench = Bench(wake_in)
    await bench.timers.publish_due()
    assert not bench.called()


async def test_a_job_is_not_called_again_while_its_message_is_on_the_way() -> None:
    bench = Bench(wake_in=-1)
    await bench.timers.publish_due()
    await bench.timers.publish_due()
    assert len(bench.called()) == 1


async def test_a_job_with_another_wake_up_time_is_called_again() -> None:
    bench = Bench(wake_in=-2)
    await bench.timers.publish_due()
    bench.wake(-1)
    await bench.timers.publish_due()
    assert len({call.due_at for call in bench.called()}) == 2


async def test_a_message_that_could_not_be_published_is_published_at_the_next_tick() -> None:
    bench = Bench(wake_in=-1)
    bench.publisher.failures = [TransientError("the broker is away")]
    with pytest.raises(TransientError):
        await bench.timers.publish_due()
    await bench.timers.publish_due()
    assert len(bench.called()) == 1


async def test_a_server_that_is_away_does_not_end_the_timers() -> None:
    bench = Bench(wake_in=-1)
    bench.jobs.failure = AutoReconnect("gone")
    running = asyncio.create_task(bench.timers.run())
    await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()


async def test_a_bug_does_end_them() -> None:
    bench = Bench(wake_in=-1)
    bench.jobs.failure = KeyError("a bug")
    with pytest.raises(KeyError):
        await bench.timers.run()


async def test_all_due_jobs_are_called_page_by_page() -> None:
    bench = Bench(wake_in=-1)
    for place in range(3 * PAGE):
        bench.jobs.kept[str(place)] = {"_id": str(uuid7()), "trace": None, "wake_at": now() - SECOND}
    await bench.timers.publish_due()
    assert bench.publisher.pages == [PAGE, PAGE, PAGE, 1]
