"""Writes of many tasks share round trips, and each task gets its own outcome."""

import asyncio
from typing import Any, cast

import pytest
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import AutoReconnect

from shared.mongo import Collection, Write
from shared.mongo.group_commit import MOST, GroupCommit, guarded_writes
from tests.fakes.documents import FakeCollection


def a_group_commit(*documents: dict[str, Any]) -> tuple[GroupCommit[Write], FakeCollection]:
    collection = FakeCollection(*documents)
    return guarded_writes(cast(Collection, collection)), collection


def insert(key: str) -> InsertOne[dict[str, Any]]:
    return InsertOne({"_id": key})


async def test_writes_of_one_moment_share_a_round_trip() -> None:
    group, collection = a_group_commit()
    assert await asyncio.gather(*(group.write(insert(f"{n}")) for n in range(50))) == [True] * 50
    assert collection.bulk_sizes == [50]
    assert len(collection.kept) == 50


async def test_writes_that_come_while_one_is_under_way_go_together_in_the_next() -> None:
    group, collection = a_group_commit()
    collection.answers.clear()
    first = asyncio.create_task(group.write(insert("first")))
    await collection.asked.wait()
    others = [asyncio.create_task(group.write(insert(f"{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    collection.answers.set()
    assert await asyncio.gather(first, *others) == [True] * 4
    assert collection.bulk_sizes == [1, 3]


async def test_more_than_one_group_takes_several_round_trips() -> None:
    group, collection = a_group_commit()
    await asyncio.gather(*(group.write(insert(f"{n}")) for n in range(MOST + 1)))
    assert collection.bulk_sizes == [MOST, 1]


async def test_each_writer_learns_whether_its_own_guard_held() -> None:
    group, collection = a_group_commit({"_id": "taken", "version": 3})
    stale = ReplaceOne({"_id": "taken", "version": 1}, {"version": 2}, upsert=True)
    fates = await asyncio.gather(*(group.write(write) for write in (insert("a"), stale, insert("b"))))
    assert list(fates) == [True, False, True]
    assert collection.kept["taken"]["version"] == 3


async def test_a_failed_group_raises_for_each_writer_and_the_next_write_works() -> None:
    group, collection = a_group_commit()
    collection.failure = AutoReconnect("gone")
    fates = await asyncio.gather(group.write(insert("a")), group.write(insert("b")), return_exceptions=True)
    assert [type(fate) for fate in fates] == [AutoReconnect, AutoReconnect]
    collection.failure = None
    assert await group.write(insert("a"))


async def test_a_writer_that_gives_up_does_not_disturb_the_others() -> None:
    group, collection = a_group_commit()
    tasks = [asyncio.create_task(group.write(insert(f"{n}"))) for n in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await tasks[1]
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert set(collection.kept) == {"0", "1"}, "it may have been written all the same"
