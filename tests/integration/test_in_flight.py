"""Ten thousand attempts in flight in one process: none has a task of its own, each a few kilobytes."""

import asyncio
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from contracts.renders import RenderRequested, RenderSucceeded
from services.gateways.kit.provider import AttemptRequest, AttemptStatus, SubmissionRef
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.scheduling.engine import MAX_STEPS
from shared.mongo import Database
from shared.mongo.leases import LeaseExpired
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import DONE, RUNNING, FakeProvider, a_command
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

pytestmark = pytest.mark.stack  # needs no server, but takes as long as tests that do

MANY = 10_000
SAMPLE = 1_000
BATCH = 500
PATIENCE = 120.0
NOT_OURS = ("*/tests/fakes/*", "*/copy.py", "*/tracemalloc.py")
"""Bytes of the database and broker in memory, which a real process does not hold."""


class Slow(FakeProvider):
    """Works until it may end; records the number of tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = False
        self.most_tasks = 0
        self._asked = 0

    async def submit(self, request: AttemptRequest, payload: dict[str, Any]) -> SubmissionRef:
        await self._work()
        return {"id": f"external-{request.attempt_id}"}

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        await self._work()
        return DONE if self.may_end else RUNNING

    async def _work(self) -> None:
        self._asked += 1
        if self._asked % 50 == 0:
            self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
        await asyncio.sleep(0)


def commands(many: int) -> Iterator[list[RenderRequested]]:
    """Yield batches of commands, each decoded from its own bytes, as from the broker."""
    known = a_command()
    text = known.model_dump_json()
    for start in range(0, many, BATCH):
        ids = [f"{known.job_id[:-5]}{number:05}" for number in range(start, start + BATCH)]
        yield [RenderRequested.model_validate_json(text.replace(known.job_id, each)) for each in ids]


class InFlightHarness:
    """A process whose provider, database and broker are in memory."""

    def __init__(self) -> None:
        self.provider = Slow()
        self.attempts = FakeCollection()
        self.publisher = FakePublisher("gateway-fal")
        self.service = FakeService(self.publisher)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["InFlightHarness"]:
        others = {name: FakeCollection() for name in ("gateway_leases", "provider_health", "gateway_shares")}
        database = cast(Database, others | {"attempts": self.attempts})
        limits = ProviderLimits(slots=2 * MANY, first_poll_interval=3.0, max_poll_interval=10.0)
        task = asyncio.create_task(Process(self.provider, limits, database, self.service.service).run())
        await until(lambda: others["gateway_leases"].kept)
        yield self
        self.service.stop()
        await task

    async def fly(self, many: int) -> None:
        """Accept this many commands and wait until all are at the provider."""
        for batch in commands(many):
            await self._deliver(batch)
        await self.reach("submitted")

    async def _deliver(self, batch: list[RenderRequested]) -> None:
        """Deliver a batch; repeat it while the lease is expired on a busy machine."""
        while True:
            try:
                await self.service.deliver(*batch)
            except LeaseExpired:
                await asyncio.sleep(0.2)
            else:
                return

    async def reach(self, state: str) -> None:
        """Wait for a condition; check rarely, because a check is slow."""
        async with asyncio.timeout(PATIENCE):
            while {entry["state"] for entry in self.attempts.kept.values()} != {state}:
                await asyncio.sleep(0.2)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print to the terminal, also while output is captured."""

    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return say


@pytest.mark.timeout(400)
async def test_ten_thousand_attempts_are_in_flight_at_once_and_all_end_once(
    say: Callable[[str], None],
) -> None:
    async with InFlightHarness().running() as harness:
        await harness.fly(MANY)
        say(f"{MANY} attempts in flight, at most {harness.provider.most_tasks} tasks")
        assert harness.provider.most_tasks <= MAX_STEPS + 20
        harness.provider.may_end = True
        await harness.reach("succeeded")
    said = [success.attempt_id for success in harness.publisher.said(RenderSucceeded)]
    assert len(set(said)) == MANY, "each end is said; a process that was starved may say one again"


@pytest.mark.timeout(400)
async def test_an_attempt_in_flight_takes_a_few_kilobytes(say: Callable[[str], None]) -> None:
    async with InFlightHarness().running() as harness:
        tracemalloc.start()
        before = traced_bytes()
        await harness.fly(SAMPLE)
        each = (traced_bytes() - before) / SAMPLE
        tracemalloc.stop()
        say(f"{each:.0f} bytes of memory for each attempt in flight")
        assert each < 20_000
        harness.provider.may_end = True
        await harness.reach("succeeded")


def traced_bytes() -> int:
    filters = [tracemalloc.Filter(False, pattern) for pattern in NOT_OURS]
    snapshot = tracemalloc.take_snapshot().filter_traces(filters)
    return sum(statistic.size for statistic in snapshot.statistics("filename"))
