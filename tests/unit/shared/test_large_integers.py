"""Whole numbers beyond BSON's 64 bits are stored and read exactly; what cannot be stored says so."""

import asyncio
from typing import Any, cast

import pytest
from pymongo import InsertOne, ReplaceOne

from shared.errors import UnstorableDocument
from shared.fold import Folded
from shared.mongo import Collection, Write, storable, write_guarded
from shared.mongo.documents import MongoDocuments
from shared.mongo.group_commit import guarded_writes
from shared.transient import is_transient
from tests.fakes.documents import FakeCollection

LARGE = [2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**63) - 1, 10**34 - 1]


class Note(Folded):
    free: dict[str, Any]


@pytest.mark.parametrize("number", LARGE)
async def test_a_whole_number_of_any_size_comes_back_as_it_was(number: int) -> None:
    collection = FakeCollection()
    documents: MongoDocuments[Note] = MongoDocuments(cast(Collection, collection), Note)
    note = Note(version=1, free={"seed": number, "list": [[number, 1.5, "x", True]]})
    assert await documents.save({"a": note}) == set()
    assert (await documents.load(["a"]))["a"].free == note.free


async def test_a_document_of_ordinary_numbers_is_written_once_and_unchanged() -> None:
    collection = FakeCollection()
    await write_guarded(cast(Collection, collection), [InsertOne({"_id": "a", "n": 2**53})])
    assert collection.bulk_sizes == [1]
    assert collection.kept["a"] == {"_id": "a", "n": 2**53}


@pytest.mark.parametrize(
    "value",
    [10**34, "half of a pair: \ud800", {"a\0b": 1}, "x" * (16 * 1024 * 1024)],
    ids=["35 digits", "surrogate", "NUL in a name", "too large"],
)
async def test_a_document_that_cannot_be_stored_is_refused_for_good(value: Any) -> None:
    with pytest.raises(UnstorableDocument) as refused:
        await write_guarded(cast(Collection, FakeCollection()), [InsertOne({"_id": "a", "value": value})])
    assert not is_transient(refused.value)


def test_other_values_are_left_as_they_are() -> None:
    value = {"a": [1, -1, 1.5, True, None, "x"], "b": {"c": 2**63 - 1}}
    assert storable(value) == value


async def test_a_write_that_is_refused_does_not_take_the_others_of_its_group_with_it() -> None:
    collection = FakeCollection()
    group = guarded_writes(cast(Collection, collection))
    collection.answers.clear()
    first = ReplaceOne({"_id": "first", "version": 0}, {"n": 1}, upsert=True)
    writes: list[Write] = [first, InsertOne({"_id": "bad", "n": 10**40}), InsertOne({"_id": "good", "n": 2})]
    tasks = [asyncio.create_task(group.write(write)) for write in writes]
    await asyncio.sleep(0)
    collection.answers.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (True, True)
    assert isinstance(outcomes[1], UnstorableDocument)
    assert set(collection.kept) == {"first", "good"}
