"""Leases are renewed, end, are marked as expired by another process, and noticed by their owner."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from shared.clock import now
from shared.mongo import Document
from shared.mongo.leases import FORGET_SECONDS, LEASE_SECONDS, RELEASE_SECONDS, Lease, LeaseExpired
from tests.fakes.mongo import FakeCollection
from tests.fakes.waiting import background, until


class LeaseHarness:
    """A process with a lease; records takeovers and lost leases."""

    def __init__(
        self, leases: FakeCollection, role: str = "gateway-fal", patience_seconds: float = 0.0
    ) -> None:
        self.time = 1000.0
        self.expired: list[str] = []
        self.leases_lost = 0
        self.leases = leases
        self.expires_until: asyncio.Event | None = None
        self.lease = Lease(
            leases.mongo,
            role,
            on_owner_expired=self._expire,
            on_lost=self._lost,
            patience_seconds=patience_seconds,
            clock=lambda: self.time,
        )

    async def _expire(self, owner: str) -> None:
        self.expired.append(owner)
        if self.expires_until is not None:
            await self.expires_until.wait()
        await self.lease.forget(owner)

    async def _lost(self) -> None:
        self.leases_lost += 1

    def let_end(self) -> None:
        """Act as if the lease had not been renewed for long."""
        self.let_end_before(1)

    def let_end_before(self, seconds: float) -> None:
        """Act as if the last renewal had been earlier by some seconds."""
        self.leases.kept[self.lease.owner]["until"] = now() - timedelta(seconds=seconds)


@pytest.fixture
def leases() -> FakeCollection:
    return FakeCollection()


@pytest.fixture
async def one(leases: FakeCollection) -> LeaseHarness:
    instance = LeaseHarness(leases)
    await instance.lease.take()
    return instance


@pytest.fixture
async def two(leases: FakeCollection) -> LeaseHarness:
    instance = LeaseHarness(leases)
    await instance.lease.take()
    return instance


def test_a_lease_that_was_never_taken_is_not_valid(leases: FakeCollection) -> None:
    assert not LeaseHarness(leases).lease.valid


async def test_a_lease_is_valid_and_written_for_its_time(one: LeaseHarness, leases: FakeCollection) -> None:
    document = leases.kept[one.lease.owner]
    left = (document["until"] - now()).total_seconds()
    assert LEASE_SECONDS - 1 < left <= LEASE_SECONDS
    assert (document["role"], document["expired"], one.lease.valid) == ("gateway-fal", False, True)


async def test_a_lease_is_valid_until_a_second_before_its_end(one: LeaseHarness) -> None:
    for elapsed, valid in ((0.0, True), (LEASE_SECONDS - 1.125, True), (LEASE_SECONDS - 1, False)):
        one.time = 1000.0 + elapsed
        assert one.lease.remaining == LEASE_SECONDS - elapsed
        assert one.lease.valid is valid


async def test_an_action_needs_the_same_owner_and_a_valid_lease(one: LeaseHarness) -> None:
    one.lease.check(one.lease.owner, "submitting")
    with pytest.raises(LeaseExpired, match="the lease of another expired before submitting"):
        one.lease.check("another", "submitting")
    one.time += LEASE_SECONDS
    with pytest.raises(LeaseExpired):
        one.lease.check(one.lease.owner, "submitting")
    await one.lease.renew()
    one.lease.check(one.lease.owner, "submitting")


async def test_a_released_lease_is_not_valid(one: LeaseHarness) -> None:
    await one.lease.release()
    assert one.lease.remaining < 0
    assert not one.lease.valid


async def test_renewing_moves_the_end(one: LeaseHarness, leases: FakeCollection) -> None:
    one.let_end()
    await one.lease.renew()
    assert leases.kept[one.lease.owner]["until"] > now() + timedelta(seconds=LEASE_SECONDS - 1)
    assert one.leases_lost == 0


async def test_a_valid_lease_is_left_alone(one: LeaseHarness, two: LeaseHarness) -> None:
    await one.lease.reap_expired()
    await two.lease.reap_expired()
    assert one.expired == two.expired == []


async def test_an_owner_whose_lease_ended_is_marked_as_expired(one: LeaseHarness, two: LeaseHarness) -> None:
    dead = two.lease.owner
    two.let_end()
    await one.lease.reap_expired()
    assert one.expired == [dead]
    assert one.leases.kept[dead]["expired"]


async def test_an_expired_owner_is_watched_until_its_last_write_must_have_arrived(
    one: LeaseHarness, two: LeaseHarness
) -> None:
    dead = two.lease.owner
    two.let_end_before(FORGET_SECONDS - 5)
    await one.lease.reap_expired()
    await one.lease.reap_expired()
    assert (one.expired, dead in one.leases.kept) == ([dead, dead], True)
    two.let_end_before(FORGET_SECONDS + 1)
    await one.lease.reap_expired()
    await one.lease.reap_expired()
    assert (one.expired, dead in one.leases.kept) == ([dead, dead, dead], False)


async def test_a_process_that_has_just_started_expires_no_other(
    two: LeaseHarness, leases: FakeCollection
) -> None:
    young = LeaseHarness(leases, patience_seconds=10.0)
    await young.lease.take()
    two.let_end()
    await young.lease.reap_expired()
    assert (young.expired, leases.kept[two.lease.owner]["expired"]) == ([], False)
    assert two.lease.owner in young.lease.alive


async def test_the_first_process_after_an_outage_for_all_expires_no_other(leases: FakeCollection) -> None:
    first, second = (LeaseHarness(leases, patience_seconds=10.0) for _ in range(2))
    for each in (first, second):
        await each.lease.take()
    for each in (first, second):  # the database was away, and is back: all leases have run out
        each.time += 60
        each.let_end_before(50)
    await first.lease.renew()
    await first.lease.reap_expired()
    assert first.expired == []
    await second.lease.renew()
    assert (second.leases_lost, second.lease.valid) == (0, True)
    second.let_end()  # and now it is dead indeed
    for _ in range(4):
        first.time += 2.5
        await first.lease.renew()
        await first.lease.reap_expired()
    assert first.expired == [second.lease.owner]


async def test_a_pause_of_our_own_starts_the_patience_again(leases: FakeCollection) -> None:
    one, two = (LeaseHarness(leases, patience_seconds=10.0) for _ in range(2))
    for each in (one, two):
        await each.lease.take()
    two.let_end()
    for seconds in (9.0, LEASE_SECONDS + 0.5, 9.0):
        one.time += seconds
        await one.lease.renew()
        await one.lease.reap_expired()
    assert one.expired == []


async def test_all_who_are_alive_are_known(
    one: LeaseHarness, two: LeaseHarness, leases: FakeCollection
) -> None:
    three = LeaseHarness(leases)
    await three.lease.take()
    three.let_end()
    await one.lease.reap_expired()
    assert one.lease.alive == {one.lease.owner, two.lease.owner}


async def test_a_lease_that_is_renewed_just_in_time_does_not_expire(
    one: LeaseHarness, two: LeaseHarness
) -> None:
    two.let_end()
    await two.lease.renew()
    await one.lease.reap_expired()
    assert one.expired == []


async def test_a_lease_that_is_renewed_after_it_was_read_is_left_alone(
    one: LeaseHarness, two: LeaseHarness, leases: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.let_end()
    alive, declare = leases.kept[two.lease.owner], leases.update_one

    async def late(query: Document, update: Document) -> object:
        alive.update(until=now() + timedelta(seconds=LEASE_SECONDS))
        return await declare(query, update)

    monkeypatch.setattr(leases, "update_one", late)
    await one.lease.reap_expired()
    assert (one.expired, alive["expired"]) == ([], False)


async def test_an_expired_owner_knows_it_before_a_successor_has_taken_over(
    one: LeaseHarness, leases: FakeCollection
) -> None:
    former = one.lease.owner
    leases.kept[former]["expired"] = True
    await one.lease.renew()
    assert (one.leases_lost, one.lease.owner != former) == (1, True)


async def test_an_expired_owner_takes_a_new_lease(one: LeaseHarness, two: LeaseHarness) -> None:
    former = two.lease.owner
    two.let_end()
    await one.lease.reap_expired()
    await two.lease.renew()
    assert two.leases_lost == 1
    assert two.lease.owner != former
    assert two.lease.valid


async def test_an_expired_owner_whose_successor_expired_is_taken_over_by_the_next(
    one: LeaseHarness, two: LeaseHarness
) -> None:
    two.leases.kept[two.lease.owner]["expired"] = True
    await one.lease.reap_expired()
    assert one.expired == [two.lease.owner]


async def test_a_released_lease_is_taken_over_at_once(one: LeaseHarness, two: LeaseHarness) -> None:
    await two.lease.release()
    assert not two.lease.valid
    await one.lease.reap_expired()
    assert one.expired == [two.lease.owner]


async def test_leases_of_other_roles_are_ignored(one: LeaseHarness, leases: FakeCollection) -> None:
    other = LeaseHarness(leases, "gateway-modal")
    await other.lease.take()
    other.let_end()
    await one.lease.reap_expired()
    assert one.expired == []


async def test_the_living_cannot_be_forgotten(one: LeaseHarness, two: LeaseHarness) -> None:
    await one.lease.forget(two.lease.owner)
    assert two.lease.owner in two.leases.kept


async def test_the_loop_renews_reaps_and_survives_an_absent_database(
    one: LeaseHarness, two: LeaseHarness
) -> None:
    two.let_end()
    one.let_end()
    async with background(one.lease.run):
        await until(lambda: one.expired)
    assert one.leases.kept[one.lease.owner]["until"] > now()
    one.leases.failures = [ConnectionError("away")]
    async with background(one.lease.run) as loop:
        await until(lambda: not one.leases.failures)
        assert not loop.done()


async def test_a_lease_is_renewed_while_much_is_taken_over(
    one: LeaseHarness, two: LeaseHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.mongo.leases.RENEW_SECONDS", 0.005)
    one.expires_until = asyncio.Event()
    two.let_end()
    async with background(one.lease.run):
        await until(lambda: one.expired)
        one.let_end()
        await until(lambda: one.leases.kept[one.lease.owner]["until"] > now())
        assert not one.expires_until.is_set()
        one.expires_until.set()


async def test_a_process_leaves_also_when_the_database_does_not_answer(one: LeaseHarness) -> None:
    one.leases.failures = [AutoReconnect("away")]
    await one.lease.release()
    one.leases.silent = True
    async with asyncio.timeout(RELEASE_SECONDS + 0.5):
        await one.lease.release()
    assert not one.lease.valid
