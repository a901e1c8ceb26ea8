"""Allocation of a provider's slots to changing processes: the limit is never exceeded."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from services.gateways.runtime.scheduling.slot_allocation import SlotAllocation, allocation_of
from shared.mongo.leases import LEASE_SECONDS
from tests.fakes.mongo import FakeCollection

ROLE = "gateway-fal"


def test_equal_parts_and_the_rest_to_the_first() -> None:
    alive = {"a", "b", "c"}
    assert [allocation_of(10, {}, me, 0, alive) for me in "abc"] == [4, 3, 3]


def test_a_single_process_has_all_slots() -> None:
    assert allocation_of(10, {"gone": 7}, "a", 0, {"a"}) == 10


def test_a_new_process_takes_only_free_slots() -> None:
    assert allocation_of(10, {"a": 10}, "b", 0, {"a", "b"}) == 0
    assert allocation_of(10, {"a": 7}, "b", 0, {"a", "b"}) == 3


def test_a_share_never_shrinks_below_the_number_in_flight() -> None:
    assert allocation_of(10, {"a": 10}, "a", 8, {"a", "b"}) == 8
    assert allocation_of(10, {"a": 10}, "a", 2, {"a", "b"}) == 5


def test_more_processes_than_slots_leave_some_with_none() -> None:
    alive = {"a", "b", "c"}
    assert sorted(allocation_of(2, {}, me, 0, alive) for me in "abc") == [0, 1, 1]


@dataclass
class Process:
    """One process, with possibly outdated knowledge of the others."""

    name: str
    shares: SlotAllocation
    alive: set[str]
    in_flight: int = 0


@dataclass
class ProcessCluster:
    """Processes that share one document and its `limit` slots."""

    limit: int
    time: float = 0.0
    documents: FakeCollection = field(default_factory=FakeCollection)
    processes: list[Process] = field(default_factory=list)
    born: int = 0

    def join(self) -> Process:
        self.born += 1
        name = f"{ROLE}:{self.born:04}"
        shares = SlotAllocation(self.documents.mongo, ROLE, self.limit, lambda: self.time)
        process = Process(name, shares, {name})
        self.processes.append(process)
        self.look(process)
        return process

    def look(self, process: Process) -> None:
        process.alive = {each.name for each in self.processes}

    async def rebalance(self, process: Process) -> None:
        await process.shares.rebalance(process.name, process.alive, lambda: process.in_flight)

    def check(self) -> None:
        used = sum(max(each.shares.mine, each.in_flight) for each in self.processes)
        assert used <= self.limit, [(each.name, each.shares.mine, each.in_flight) for each in self.processes]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "look", "settle", "settle", "settle", "fill", "drain"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


async def play(limit: int, steps: list[tuple[str, int]]) -> ProcessCluster:
    cluster = ProcessCluster(limit)
    for step, which in steps:
        cluster.time += 0.1
        if step == "join" and len(cluster.processes) < 5:
            cluster.join()
        elif cluster.processes:
            process = cluster.processes[which % len(cluster.processes)]
            if step == "leave":
                cluster.processes.remove(process)
            elif step == "look":
                cluster.look(process)
            elif step == "settle":
                await cluster.rebalance(process)
            elif step == "fill":
                process.in_flight = max(process.in_flight, process.shares.mine)
            elif step == "drain":
                process.in_flight //= 2
        cluster.check()
    return cluster


@given(st.integers(1, 12), STEPS)
def test_whoever_comes_goes_and_settles_no_more_slots_are_used_than_there_are(
    limit: int, steps: list[tuple[str, int]]
) -> None:
    asyncio.run(play(limit, steps))


@given(st.integers(1, 12), STEPS)
def test_all_slots_are_allocated_again_when_load_ends(limit: int, steps: list[tuple[str, int]]) -> None:
    async def quiet() -> None:
        cluster = await play(limit, [*steps, ("join", 0)])
        for _ in range(4):
            cluster.time += LEASE_SECONDS
            for process in cluster.processes:
                process.in_flight = 0
                cluster.look(process)
                await cluster.rebalance(process)
        shares = [process.shares.mine for process in cluster.processes]
        assert sum(shares) == limit
        assert max(shares) - min(shares) <= 1

    asyncio.run(quiet())


async def test_the_share_of_a_process_that_started_meanwhile_is_not_taken() -> None:
    cluster = ProcessCluster(100)
    first, second = cluster.join(), cluster.join()
    cluster.look(first)
    first.in_flight = 60
    first.shares.mine = 60
    cluster.documents.kept[ROLE] = {"_id": ROLE, "version": 1, "shares": {first.name: 60}}
    await cluster.rebalance(second)
    assert second.shares.mine == 40
    third = cluster.join()
    cluster.look(first)
    first.in_flight = 0
    await cluster.rebalance(first)
    await cluster.rebalance(third)
    await cluster.rebalance(second)  # which has not seen the third one's lease yet
    cluster.check()


async def test_a_process_that_has_left_blocks_no_slots() -> None:
    cluster = ProcessCluster(10)
    former = cluster.join()
    await cluster.rebalance(former)
    cluster.processes.remove(former)
    restarted = cluster.join()
    await cluster.rebalance(restarted)
    assert restarted.shares.mine == 10


async def test_a_race_that_is_lost_takes_nothing_until_the_next_time() -> None:
    cluster = ProcessCluster(10)
    one, two = cluster.join(), cluster.join()
    cluster.look(one)
    await asyncio.gather(cluster.rebalance(one), cluster.rebalance(two))
    assert sorted([one.shares.mine, two.shares.mine]) == [0, 5]
    await cluster.rebalance(one)
    await cluster.rebalance(two)
    assert (one.shares.mine, two.shares.mine) == (5, 5)


async def test_a_write_whose_answer_is_lost_allocates_no_slot_twice() -> None:
    cluster = ProcessCluster(10)
    one = cluster.join()
    cluster.documents.failures = [ConnectionError("away")]
    try:
        await cluster.rebalance(one)
    except ConnectionError:
        assert one.shares.mine == 0
    await cluster.rebalance(one)
    assert one.shares.mine == 10
