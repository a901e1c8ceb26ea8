"""Who is alive: a lease is renewed, ends, is buried by another, and noticed by its own."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.clock import now
from shared.leases import LEASE_SECONDS, Lease
from tests.fakes.mongo import FakeCollection
from tests.fakes.waiting import background, until


class Instance:
    """A process with a lease; keeps what happened to it."""

    def __init__(self, leases: FakeCollection, role: str = "gateway-fal") -> None:
        self.buried: list[str] = []
        self.lives_lost = 0
        self.leases = leases
        self.meanwhile: Callable[[], object] = lambda: None
        self.lease = Lease(leases.mongo, role, on_death=self._bury, on_lost=self._lose)

    async def _bury(self, owner: str) -> None:
        self.buried.append(owner)
        self.meanwhile()
        await self.lease.forget(owner)

    async def _lose(self) -> None:
        self.lives_lost += 1

    def let_end(self) -> None:
        """As if it had not renewed for long."""
        self.leases.kept[self.lease.owner]["until"] = now() - timedelta(seconds=1)


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
    assert (document["role"], document["dead"], one.lease.valid) == ("gateway-fal", False, True)


async def test_renewing_moves_the_end(one: Instance, leases: FakeCollection) -> None:
    one.let_end()
    await one.lease.renew()
    assert leases.kept[one.lease.owner]["until"] > now() + timedelta(seconds=LEASE_SECONDS - 1)
    assert one.lives_lost == 0


async def test_the_living_are_left_alone(one: Instance, two: Instance) -> None:
    await one.lease.bury_the_dead()
    await two.lease.bury_the_dead()
    assert one.buried == two.buried == []


async def test_whose_lease_has_ended_is_buried_once(one: Instance, two: Instance) -> None:
    dead = two.lease.owner
    two.let_end()
    await one.lease.bury_the_dead()
    await one.lease.bury_the_dead()
    assert one.buried == [dead]
    assert dead not in one.leases.kept


async def test_a_lease_that_is_renewed_just_in_time_is_not_buried(one: Instance, two: Instance) -> None:
    two.let_end()
    await two.lease.renew()
    await one.lease.bury_the_dead()
    assert one.buried == []


async def test_a_lease_that_is_renewed_while_others_are_buried_is_left_alone(
    one: Instance, two: Instance, leases: FakeCollection
) -> None:
    three = Instance(leases)
    await three.lease.take()
    for late in (two, three):
        late.let_end()
    alive = leases.kept[three.lease.owner]
    one.meanwhile = lambda: alive.update(until=now() + timedelta(seconds=LEASE_SECONDS))
    await one.lease.bury_the_dead()
    assert one.buried == [two.lease.owner]
    assert not leases.kept[three.lease.owner]["dead"]


async def test_who_was_declared_dead_is_so_before_anyone_has_inherited(
    one: Instance, leases: FakeCollection
) -> None:
    former = one.lease.owner
    leases.kept[former]["dead"] = True
    await one.lease.renew()
    assert (one.lives_lost, one.lease.owner != former) == (1, True)


async def test_who_was_declared_dead_begins_a_new_life(one: Instance, two: Instance) -> None:
    former = two.lease.owner
    two.let_end()
    await one.lease.bury_the_dead()
    await two.lease.renew()
    assert two.lives_lost == 1
    assert two.lease.owner != former
    assert two.lease.valid


async def test_the_dead_whose_heir_died_are_inherited_by_the_next(one: Instance, two: Instance) -> None:
    two.leases.kept[two.lease.owner]["dead"] = True
    await one.lease.bury_the_dead()
    assert one.buried == [two.lease.owner]


async def test_who_leaves_in_order_is_inherited_at_once(one: Instance, two: Instance) -> None:
    await two.lease.release()
    assert not two.lease.valid
    await one.lease.bury_the_dead()
    assert one.buried == [two.lease.owner]


async def test_other_roles_are_none_of_our_business(one: Instance, leases: FakeCollection) -> None:
    other = Instance(leases, "gateway-modal")
    await other.lease.take()
    other.let_end()
    await one.lease.bury_the_dead()
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
