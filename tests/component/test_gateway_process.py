"""Whole gateway processes with a real adapter and its simulator: nothing is lost, nothing paid twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from contracts.renders import RenderRequested, RenderSucceeded
from services.gateways.kit.provider import AttemptRequest, Provider
from services.gateways.runtime.app import Process
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.successor import take_over as take_over_all
from shared.clock import now
from shared.mongo import IN_PAGE, Database
from shared.mongo.leases import FORGET_SECONDS
from tests.fakes.adapters import an_adapter_harness
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeProvider, a_cancel, a_command
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

PACE = ProviderLimits(
    slots=100, first_poll_interval=0.01, max_poll_interval=0.05, submit_timeout=5.0, takeover_patience=0.0
)


class ProcessCluster:
    """The database and the broker that several processes share."""

    def __init__(self, provider: Provider, limits: ProviderLimits = PACE) -> None:
        self.provider = provider
        self.limits = limits
        self.attempts = FakeCollection()
        self.leases = FakeCollection()
        self.others = {name: FakeCollection() for name in ("provider_health", "gateway_shares")}
        self.publisher = FakePublisher("gateway-modal")

    def process(self) -> tuple[FakeService, Process]:
        service = FakeService(self.publisher)
        database = self.others | {"attempts": self.attempts, "gateway_leases": self.leases}
        return service, Process(self.provider, self.limits, cast(Database, database), service.service)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeService]:
        """A process that leaves in order."""
        service, process = self.process()
        task = asyncio.create_task(process.run())
        await until(lambda: self.leases.kept)
        yield service
        service.stop()
        await task

    async def crash(self, *commands: RenderRequested, ago: float = 1.0) -> None:
        """A process takes these in, works on them for a moment and is gone; its lease ended then."""
        service, process = self.process()
        task = asyncio.create_task(process.run())
        await until(lambda: self.leases.kept)
        await service.deliver(*commands)
        await until(lambda: all(entry["state"] == "submitted" for entry in self.attempts.kept.values()))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for lease in self.leases.kept.values():
            lease["until"] = now() - timedelta(seconds=ago)

    def succeeded(self) -> list[str]:
        return sorted(success.attempt_id for success in self.publisher.said(RenderSucceeded))

    def owners(self) -> Counter[str]:
        """How many open attempts each process has."""
        return Counter(entry["owner"] for entry in self.attempts.kept.values() if "owner" in entry)

    def states(self) -> set[str]:
        return {entry["state"] for entry in self.attempts.kept.values()}


async def test_commands_become_results_although_answers_are_lost() -> None:
    async with an_adapter_harness("modal", concurrency=50, lose_answer_rate=0.4, seed=3) as harness:
        cluster = ProcessCluster(harness.provider)
        commands = [a_command(provider="modal") for _ in range(40)]
        async with cluster.running() as service:
            await service.deliver(*commands)
            await until(lambda: len(cluster.succeeded()) == 40, seconds=10)
            await until(lambda: not any("outbox" in entry for entry in cluster.attempts.kept.values()))
        submission_log = await harness.submission_log()
    assert cluster.succeeded() == sorted(command.attempt_id for command in commands)
    assert len(submission_log) == len({entry["our_id"] for entry in submission_log}) == 40
    assert {entry["submissions"] for entry in cluster.attempts.kept.values()} == {1}


async def test_attempts_of_a_crashed_process_are_finished_by_another() -> None:
    async with an_adapter_harness("modal", concurrency=50, latency_seconds=0.3) as harness:
        cluster = ProcessCluster(harness.provider)
        commands = [a_command(provider="modal") for _ in range(10)]
        await cluster.crash(*commands)
        assert cluster.succeeded() == []
        async with cluster.running():
            await until(lambda: len(cluster.succeeded()) == 10)
        submission_log = await harness.submission_log()
    assert len(submission_log) == 10, "nothing was submitted a second time"
    assert cluster.states() == {"succeeded"}


async def test_a_process_works_while_it_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, dead, hold = ProcessCluster(FakeProvider()), "gateway-fal:dead", asyncio.Event()
    taking = asyncio.Event()
    take_over = Takeover.take_over

    async def slowly(self: Takeover, attempts: Sequence[Attempt], dead: str, owner: str) -> list[Attempt]:
        taking.set()
        await hold.wait()
        return await take_over(self, attempts, dead, owner)

    monkeypatch.setattr(Takeover, "take_over", slowly)
    await LedgerIntake(cluster.attempts.mongo).accept([received(a_command())], dead)
    cluster.leases.kept[dead] = {"_id": dead, "role": "gateway-fal", "until": now(), "expired": True}
    async with cluster.running() as service:
        await taking.wait()
        await service.deliver(a_command())
        await until(lambda: len(cluster.succeeded()) == 1)
        assert cluster.owners() == {dead: 1}
        hold.set()
        await until(lambda: len(cluster.succeeded()) == 2)


async def test_an_owner_that_expires_during_a_takeover_keeps_none_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = ProcessCluster(FakeProvider())
    _, process = cluster.process()
    await process._lease.take()
    take_over = Takeover.take_over

    async def too_late(self: Takeover, attempts: Sequence[Attempt], dead: str, owner: str) -> list[Attempt]:
        taken = await take_over(self, attempts, dead, owner)
        await process._lease.take()
        return taken

    monkeypatch.setattr(Takeover, "take_over", too_late)
    await LedgerIntake(cluster.attempts.mongo).accept([received(a_command())], "dead")
    [attempt] = [each async for each in Takeover(cluster.attempts.mongo).held_by("dead")]
    await take_over_all(cluster.attempts.mongo, "dead", process._lease, process._engine, 0.0)
    assert attempt.id not in process._engine


async def test_a_takeover_stops_when_the_process_is_full() -> None:
    cluster = ProcessCluster(
        FakeProvider(), replace(PACE, max_in_memory=IN_PAGE, slots=2, first_poll_interval=3600.0)
    )
    dead = "gateway-fal:dead"
    commands = [received(a_command(), offset) for offset in range(IN_PAGE + 1)]
    await LedgerIntake(cluster.attempts.mongo).accept(commands, dead)
    long_ago = now() - timedelta(seconds=FORGET_SECONDS + 1)
    cluster.leases.kept[dead] = {"_id": dead, "role": "gateway-fal", "until": long_ago, "expired": True}

    def left() -> int:
        return cluster.owners()[dead]

    async with cluster.running():
        await until(lambda: left() == 1)
        await asyncio.sleep(10)
        assert (left(), dead in cluster.leases.kept) == (1, True)
        async with cluster.running():
            await until(lambda: left() == 0 and dead not in cluster.leases.kept)


async def test_an_expired_owner_is_forgotten_once_it_owns_nothing() -> None:
    async with an_adapter_harness("modal", concurrency=50, latency_seconds=0.2) as harness:
        cluster = ProcessCluster(harness.provider)
        await cluster.crash(a_command(provider="modal"), ago=FORGET_SECONDS + 1)
        [dead] = cluster.leases.kept
        async with cluster.running():
            await until(lambda: dead not in cluster.leases.kept)
            await until(cluster.succeeded)


async def test_a_cancel_that_comes_to_another_process_is_carried_out_by_the_attempts_own() -> None:
    async with an_adapter_harness("modal", latency_seconds=30) as harness:
        cluster, command = ProcessCluster(harness.provider), a_command(provider="modal")
        async with cluster.running() as one, cluster.running() as two:
            await one.deliver(command)
            await until(lambda: cluster.states() == {"submitted"})
            await two.deliver(a_cancel(command))
            await until(lambda: cluster.states() == {"cancelled"})
        assert [entry["state"] for entry in await harness.submission_log()] == ["cancelled"]
    assert cluster.attempts.kept[command.attempt_id]["billed"] == "yes", "it ran for a while"


async def test_an_expired_owner_drops_everything_and_submits_nothing_twice() -> None:
    async with an_adapter_harness("modal", concurrency=50, latency_seconds=2.0) as harness:
        cluster = ProcessCluster(harness.provider)
        commands = [a_command(provider="modal") for _ in range(5)]
        async with cluster.running() as slow:
            await slow.deliver(*commands)
            await until(lambda: cluster.states() == {"submitted"})
            [lease] = cluster.leases.kept.values()
            lease["until"] = now() - timedelta(seconds=1)
            async with cluster.running():
                await until(lambda: cluster.owners() and lease["_id"] not in cluster.owners())
                await until(lambda: cluster.states() == {"succeeded"})
        submission_log = await harness.submission_log()
    assert len(submission_log) == 5
    said = set(
        cluster.succeeded()
    )  # by both, if the dead one noticed late: a success is one, whoever says it
    assert said == {command.attempt_id for command in commands}


async def test_two_processes_keep_the_rate_together() -> None:
    time, sent = asyncio.get_running_loop().time, list[float]()

    def note(_: AttemptRequest) -> None:
        sent.append(time())

    provider = FakeProvider()
    provider.before_submit = note
    cluster = ProcessCluster(provider, replace(PACE, submits_per_second=4.0))
    async with cluster.running() as one, cluster.running() as two:
        await asyncio.sleep(5.0)
        for service in (one, two):
            await service.deliver(*(a_command() for _ in range(30)))
        started = time()
        await asyncio.sleep(10.0)
        left = cluster.owners()
    in_time = [each for each in sent if each <= started + 10.0]
    assert 33 <= len(in_time) <= 10 * 4 + 4, "and a second's worth at once"
    assert len(left) == 2
    assert max(left.values()) < 30, "both send"
