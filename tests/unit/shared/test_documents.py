"""The guard of writes: one of two writers of the same version wins. The fake passes the same tests."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError

from shared.errors import UnstorableDocument
from shared.fold import Documents, Folded
from shared.mongo import Collection, write_guarded
from shared.mongo.documents import MongoDocuments
from tests.fakes.documents import FakeCollection, FakeDocuments


class Note(Folded):
    text: str = ""


def mongo_documents() -> Documents[Note]:
    return MongoDocuments(cast(Collection, FakeCollection()), Note)


def fake_documents() -> Documents[Note]:
    return FakeDocuments(Note)


each_kind = pytest.mark.parametrize("make", [mongo_documents, fake_documents])
Make = Callable[[], Documents[Note]]


@each_kind
async def test_a_saved_document_is_loaded(make: Make) -> None:
    documents = make()
    notes = {"a": Note(version=1, text="first"), "b": Note(version=1, text="second")}
    assert await documents.save(notes) == set()
    assert await documents.load(["a", "b", "missing"]) == notes
    assert await documents.load(["b"]) == {"b": notes["b"]}


@each_kind
async def test_a_newer_version_replaces_the_one_before(make: Make) -> None:
    documents = make()
    await documents.save({"a": Note(version=1)})
    assert await documents.save({"a": Note(version=2, text="newer")}) == set()
    assert (await documents.load(["a"]))["a"].text == "newer"


@each_kind
@pytest.mark.parametrize("version", [1, 2, 4])
async def test_a_writer_who_saw_another_version_loses_and_leaves_it_alone(make: Make, version: int) -> None:
    documents = make()
    for number in (1, 2):
        await documents.save({"a": Note(version=number, text="theirs")})
    assert await documents.save({"a": Note(version=version, text="ours")}) == {"a"}
    assert (await documents.load(["a"]))["a"] == Note(version=2, text="theirs")


@each_kind
async def test_one_that_loses_does_not_hold_up_the_others(make: Make) -> None:
    documents = make()
    await documents.save({"b": Note(version=1)})
    lost = await documents.save({key: Note(version=1, text="ours") for key in "abc"})
    assert lost == {"b"}
    assert set(await documents.load("abc")) == set("abc")


@each_kind
async def test_nothing_to_save_or_load_is_fine(make: Make) -> None:
    assert await make().save({}) == set()
    assert await make().load([]) == {}


async def test_no_writes_cost_no_round_trip() -> None:
    collection = FakeCollection()
    assert await write_guarded(cast(Collection, collection), []) == set()
    assert collection.bulk_sizes == []


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (AutoReconnect("gone"), AutoReconnect),
        (
            BulkWriteError({"writeErrors": [{"index": 0, "code": 121}], "writeConcernErrors": []}),
            UnstorableDocument,
        ),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}), BulkWriteError),
    ],
)
async def test_a_write_that_failed_for_another_reason_is_no_lost_race(
    failure: Any, raised: type[Exception]
) -> None:
    collection = FakeCollection()
    collection.failure = failure
    with pytest.raises(raised):
        await MongoDocuments(cast(Collection, collection), Note).save({"a": Note(version=1)})
