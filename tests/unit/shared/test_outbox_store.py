"""Outbox entries in a collection: found by id or by age, and removed unless they have changed."""

from datetime import timedelta
from typing import Any

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.outbox import MongoOutboxStore, OutboxEntry, outbox_entry, stored_with
from tests.fakes.mongo import FakeCollection

JOB = "018f3b6a-7c1d-7e2f-9a3b-0000000000aa"
START = now()


def an_entry(seconds: float = 0.0, messages: int = 1) -> dict[str, Any]:
    cancels = [GenerationCancel(job_id=JOB, tenant="acme") for _ in range(messages)]
    return outbox_entry(*cancels, source="test", trace="t", at=START + timedelta(seconds=seconds))


def collection(**entries: dict[str, Any] | None) -> FakeCollection:
    found = FakeCollection()
    for key, entry in entries.items():
        found.kept[key] = {"_id": key, "tenant": "acme"} | ({"outbox": entry} if entry else {})
    return found


async def test_documents_without_an_entry_are_left_out() -> None:
    store = MongoOutboxStore(collection(a=an_entry(), b=None, c=an_entry()).mongo)
    [found] = await store.pending(["a", "b", "d"])
    assert (found.id, found.entry) == ("a", OutboxEntry.model_validate(an_entry()))
    [message] = found.entry.messages
    assert (message.envelope().topic, message.envelope().key) == (GenerationCancel.topic, JOB)


async def test_overdue_entries_come_oldest_first_and_in_pages() -> None:
    store = MongoOutboxStore(collection(young=an_entry(9), old=an_entry(2), oldest=an_entry(1)).mongo)
    due = START + timedelta(seconds=5)
    assert [each.id for each in await store.overdue(due, 9)] == ["oldest", "old"]
    assert [each.id for each in await store.overdue(due, 1)] == ["oldest"]


async def test_a_published_entry_is_removed_from_its_document() -> None:
    documents = collection(a=an_entry(), b=an_entry())
    store = MongoOutboxStore(documents.mongo)
    await store.remove(await store.pending(["a"]))
    assert documents.kept["a"] == {"_id": "a", "tenant": "acme"}
    assert documents.kept["b"]["outbox"] == an_entry()


async def test_an_entry_that_was_replaced_or_has_grown_stays() -> None:
    documents = collection(replaced=an_entry(), grown=an_entry())
    store = MongoOutboxStore(documents.mongo)
    published = await store.pending(["replaced", "grown"])
    documents.kept["replaced"]["outbox"] = an_entry(1)
    documents.kept["grown"]["outbox"] = an_entry(messages=2)
    await store.remove(published)
    assert {"outbox" in document for document in documents.kept.values()} == {True}


async def test_a_second_write_adds_its_messages_to_the_unpublished_ones() -> None:
    documents = collection(a=an_entry())
    entry = OutboxEntry.model_validate(an_entry(7, messages=2))
    await documents.update_one({"_id": "a"}, stored_with(entry))
    outbox = documents.kept["a"]["outbox"]
    assert (len(outbox["messages"]), outbox["at"]) == (3, entry.at)
