"""Who is alive: a lease is renewed, ends, is buried by another, and noticed by its own."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from shared.clock import now
from shared.mongo import Document
from shared.mongo.leases import FORGET_SECONDS, LEASE_SECONDS, RELEASE_SECONDS, Lease
from tests.fakes.mongo import FakeCollection
from tests.fakes.waiting import background, until


class Instance:
    """A process with a lease; keeps what happened to it."""

    def __init__(
        self, leases: FakeCollection, role: str = "gateway-fal", patience_seconds: float = 0.0
    ) -> None:
        self.buried: list[str] = []
        self.lives_lost = 0
        self.leases = leases
        self.buries_until: asyncio.Event | None = None
        self.lease = Lease(
            leases.mongo,
            role,
            on_owner_expired=self._bury,
            on_lost=self._lose,
            patience_seconds=patience_seconds,
        )

    async def _bury(self, owner: str) -> None:
        self.buried.append(owner)
        if self.buries_until is not None:
            await self.buries_until.wait()
        await self.lease.forget(owner)

    async def _lose(self) -> None:
        self.lives_lost += 1

    def let_end(self) -> None:
        """As if it had not renewed for long."""
        self.let_end_before(1)

    def let_end_before(self, seconds: float) -> None:
        """As if it had last renewed so much longer ago."""
        self.leases.kept[self.lease.owner]["until"] = now() - timedelta(seconds=seconds)


@pytest.fixture
def leases() -> FakeCollection:
    return FakeCollection()


@pytest.fixture
async def one(leases: FakeCollection) -> Instance:
    instance = Instance(leases)
    await instance.lease.take()
    return instance


@pytest.fixture
async def two(leases: FakeCollection) -> Instance:
    instance = Instance(leases)
    await instance.lease.take()
    return instance


def test_a_lease_that_was_never_taken_is_not_valid(leases: FakeCollection) -> None:
    assert not Instance(leases).lease.valid


async def test_a_lease_is_valid_and_written_for_its_time(one: Instance, leases: FakeCollection) -> None:
    document = leases.kept[one.lease.owner]
    left = (document["until"] - now()).total_seconds()
    assert LEASE_SECONDS - 1 < left <= LEASE_SECONDS
    assert (document["role"], document["expired"], one.lease.valid) == ("gateway-fal", False, True)


async def test_renewing_moves_the_end(one: Instance, leases: FakeCollection) -> None:
    one.let_end()
    await one.lease.renew()
    assert leases.kept[one.lease.owner]["until"] > now() + timedelta(seconds=LEASE_SECONDS - 1)
    assert one.lives_lost == 0


async def test_the_living_are_left_alone(one: Instance, two: Instance) -> None:
    await one.lease.reap_expired()
    await two.lease.reap_expired()
    assert one.buried == two.buried == []


async def test_whose_lease_has_ended_is_declared_dead(one: Instance, two: Instance) -> None:
    dead = two.lease.owner
    two.let_end()
    await one.lease.reap_expired()
    assert one.buried == [dead]
    assert one.leases.kept[dead]["expired"]


async def test_the_dead_are_looked_after_until_their_last_write_has_surely_come(
    one: Instance, two: Instance
) -> None:
    dead = two.lease.owner
    two.let_end_before(FORGET_SECONDS - 5)
    await one.lease.reap_expired()
    await one.lease.reap_expired()
    assert (one.buried, dead in one.leases.kept) == ([dead, dead], True)
    two.let_end_before(FORGET_SECONDS + 1)
    await one.lease.reap_expired()
    await one.lease.reap_expired()
    assert (one.buried, dead in one.leases.kept) == ([dead, dead, dead], False)


async def test_who_has_just_begun_buries_no_one(two: Instance, leases: FakeCollection) -> None:
    young = Instance(leases, patience_seconds=10.0)
    await young.lease.take()
    two.let_end()
    await young.lease.reap_expired()
    assert (young.buried, leases.kept[two.lease.owner]["expired"]) == ([], False)
    assert two.lease.owner in young.lease.alive


async def test_after_an_outage_for_all_the_first_one_back_does_not_bury_the_living(
    leases: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("shared.mongo.leases.time.monotonic", lambda: clock[0])
    first, second = (Instance(leases, patience_seconds=10.0) for _ in range(2))
    for each in (first, second):
        await each.lease.take()
    clock[0] += 60  # the database was away, and is back: everyone's lease is over
    for each in (first, second):
        each.let_end_before(50)
    await first.lease.renew()
    await first.lease.reap_expired()
    assert first.buried == []
    await second.lease.renew()
    assert (second.lives_lost, second.lease.valid) == (0, True)
    second.let_end()  # and now it is dead indeed
    for _ in range(4):
        clock[0] += 2.5
        await first.lease.renew()
        await first.lease.reap_expired()
    assert first.buried == [second.lease.owner]


async def test_a_pause_of_our_own_starts_the_patience_again(
    leases: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("shared.mongo.leases.time.monotonic", lambda: clock[0])
    one, two = (Instance(leases, patience_seconds=10.0) for _ in range(2))
    for each in (one, two):
        await each.lease.take()
    two.let_end()
    for seconds in (9.0, LEASE_SECONDS + 0.5, 9.0):
        clock[0] += seconds
        await one.lease.renew()
        await one.lease.reap_expired()
    assert one.buried == []


async def test_all_who_are_alive_are_known(one: Instance, two: Instance, leases: FakeCollection) -> None:
    three = Instance(leases)
    await three.lease.take()
    three.let_end()
    await one.lease.reap_expired()
    assert one.lease.alive == {one.lease.owner, two.lease.owner}


async def test_a_lease_that_is_renewed_just_in_time_is_not_buried(one: Instance, two: Instance) -> None:
    two.let_end()
    await two.lease.renew()
    await one.lease.reap_expired()
    assert one.buried == []


async def test_a_lease_that_is_renewed_after_it_was_read_is_left_alone(
    one: Instance, two: Instance, leases: FakeCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.let_end()
    alive, declare = leases.kept[two.lease.owner], leases.update_one

    async def late(query: Document, update: Document) -> object:
        alive.update(until=now() + timedelta(seconds=LEASE_SECONDS))
        return await declare(query, update)

    monkeypatch.setattr(leases, "update_one", late)
    await one.lease.reap_expired()
    assert (one.buried, alive["expired"]) == ([], False)


async def test_who_was_declared_dead_is_so_before_anyone_has_inherited(
    one: Instance, leases: FakeCollection
) -> None:
    former = one.lease.owner
    leases.kept[former]["expired"] = True
    await one.lease.renew()
    assert (one.lives_lost, one.lease.owner != former) == (1, True)


async def test_who_was_declared_dead_begins_a_new_life(one: Instance, two: Instance) -> None:
    former = two.lease.owner
    two.let_end()
    await one.lease.reap_expired()
    await two.lease.renew()
    assert two.lives_lost == 1
    assert two.lease.owner != former
    assert two.lease.valid


async def test_the_dead_whose_heir_died_are_inherited_by_the_next(one: Instance, two: Instance) -> None:
    two.leases.kept[two.lease.owner]["expired"] = True
    await one.lease.reap_expired()
    assert one.buried == [two.lease.owner]


async def test_who_leaves_in_order_is_inherited_at_once(one: Instance, two: Instance) -> None:
    await two.lease.release()
    assert not two.lease.valid
    await one.lease.reap_expired()
    assert one.buried == [two.lease.owner]


async def test_other_roles_are_none_of_our_business(one: Instance, leases: FakeCollection) -> None:
    other = Instance(leases, "gateway-modal")
    await other.lease.take()
    other.let_end()
    await one.lease.reap_expired()
    assert one.buried == []


async def test_the_living_cannot_be_forgotten(one: Instance, two: Instance) -> None:
    await one.lease.forget(two.lease.owner)
    assert two.lease.owner in two.leases.kept


async def test_the_loop_renews_buries_and_survives_an_absent_database(one: Instance, two: Instance) -> None:
    two.let_end()
    one.let_end()
    async with background(one.lease.run):
        await until(lambda: one.buried)
    assert one.leases.kept[one.lease.owner]["until"] > now()
    one.leases.failures = [ConnectionError("away")]
    async with background(one.lease.run) as loop:
        await until(lambda: not one.leases.failures)
        assert not loop.done()


async def test_a_lease_is_renewed_while_much_is_taken_over(
    one: Instance, two: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.mongo.leases.RENEW_SECONDS", 0.005)
    one.buries_until = asyncio.Event()
    two.let_end()
    async with background(one.lease.run):
        await until(lambda: one.buried)
        one.let_end()
        await until(lambda: one.leases.kept[one.lease.owner]["until"] > now())
        assert not one.buries_until.is_set()
        one.buries_until.set()


async def test_a_process_leaves_also_when_the_database_does_not_answer(one: Instance) -> None:
    one.leases.failures = [AutoReconnect("away")]
    await one.lease.release()
    one.leases.silent = True
    async with asyncio.timeout(RELEASE_SECONDS + 0.5):
        await one.lease.release()
    assert not one.lease.valid
