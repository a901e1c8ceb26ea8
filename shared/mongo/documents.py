"""Documents of a fold in a MongoDB collection."""

from collections.abc import Iterable
from typing import TypeVar

from pymongo import InsertOne, ReplaceOne

from shared.fold import Documents, Folded
from shared.mongo.client import Collection, Write, find_by_id, write_guarded

D = TypeVar("D", bound=Folded)


class MongoDocuments(Documents[D]):
    """Pydantic documents in a collection; `_id` is the key."""

    def __init__(self, collection: Collection, kind: type[D]) -> None:
        self._collection = collection
        self._kind = kind

    async def load(self, keys: Iterable[str]) -> dict[str, D]:
        """Return the documents that exist, by key; one round trip."""
        found = await find_by_id(self._collection, keys)
        return {document["_id"]: self._kind.model_validate(document) for document in found}

    async def save(self, documents: dict[str, D]) -> set[str]:
        """Write all in one bulk write; return the keys of documents that another process wrote first."""
        keys = list(documents)
        writes = [_guarded(key, documents[key]) for key in keys]
        return {keys[position] for position in await write_guarded(self._collection, writes)}


def _guarded(key: str, document: Folded) -> Write:
    """Return a write that loses if the stored document is not the previous version."""
    fields = document.model_dump()
    if document.version == 1:
        return InsertOne({"_id": key, **fields})
    return ReplaceOne({"_id": key, "version": document.version - 1}, fields, upsert=True)
