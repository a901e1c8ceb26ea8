"""A MongoDB collection in memory: the calls that the code makes, with the server's answers.

A guarded upsert whose guard does not hold tries to insert its `_id` again and is reported as a
duplicate key for its position, as the server does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared.mongo import DUPLICATE_KEY, Collection, Document

MISSING = object()
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$exists": lambda value, wanted: (value is not MISSING) == wanted,
    "$ne": lambda value, other: value != other,
    "$size": lambda value, number: isinstance(value, list | tuple) and len(value) == number,
    "$gt": lambda value, least: _comparable(value) and value > least,
    "$lt": lambda value, end: _comparable(value) and value < end,
    "$lte": lambda value, most: _comparable(value) and value <= most,
}


@dataclass
class Changed:
    """The result of an update or delete."""

    matched_count: int = 0
    modified_count: int = 0


class Cursor:
    """Found documents, in the state at the time of the query."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = list(documents)

    def sort(self, path: str, direction: int) -> "Cursor":
        assert direction in (1, -1), direction
        self._documents.sort(key=lambda document: _at(document, path), reverse=direction < 0)
        return self

    def limit(self, most: int) -> "Cursor":
        self._documents = self._documents[:most]
        return self

    def batch_size(self, _: int) -> "Cursor":
        return self

    async def to_list(self, _: int | None) -> list[Document]:
        await asyncio.sleep(0)
        return self._documents

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in await self.to_list(None):
            yield document


class FakeCollection:
    """A collection in memory; `kept` has the documents by `_id`.

    An error in `failures` is raised by the next write; while it is `silent`, writes are not answered.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Document] = {}
        self.failures: list[Exception] = []
        self.silent = False
        self.bulk_writes = 0

    @property
    def mongo(self) -> Collection:
        """Return the collection with the type that the code under test expects."""
        return cast(Collection, self)

    async def insert_one(self, document: Document) -> None:
        await self._round_trip()
        if not self._insert(document):
            raise DuplicateKeyError("duplicate key", DUPLICATE_KEY)

    async def find_one(self, query: Document, fields: Mapping[str, Any] | None = None) -> Document | None:
        return next(iter(await self.find(query, fields).to_list(None)), None)

    def find(self, query: Document, fields: Mapping[str, Any] | None = None) -> Cursor:
        found = [self.kept[key] for key in self._candidates(query) if _matches(self.kept[key], query)]
        return Cursor(deepcopy(_projected(document, fields)) for document in found)

    async def update_one(self, query: Document, update: Document, *, upsert: bool = False) -> Changed:
        await self._round_trip()
        changed = self._update(query, update, most=1)
        if upsert and not changed.matched_count:
            self._insert(_changed(query, update))
        return changed

    async def update_many(self, query: Document, update: Document) -> Changed:
        await self._round_trip()
        return self._update(query, update, most=None)

    async def delete_one(self, query: Document) -> None:
        await self._round_trip()
        for key, document in self.kept.items():
            if _matches(document, query):
                del self.kept[key]
                return

    async def bulk_write(self, writes: list[Any], *, ordered: bool) -> None:
        assert not ordered, "guarded writes do not wait for each other"
        await self._round_trip()
        self.bulk_writes += 1
        lost = [position for position, write in enumerate(writes) if not self._write(write)]
        if lost:
            errors = [{"index": position, "code": DUPLICATE_KEY} for position in lost]
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})

    def _write(self, write: Any) -> bool:
        if isinstance(write, InsertOne):
            return self._insert(write._doc)
        assert isinstance(write, UpdateOne | ReplaceOne), f"no such write here: {write}"
        query: Document = dict(write._filter)
        change: Any = write._doc
        if isinstance(write, ReplaceOne):
            change = {"$set": change}
        if self._update(query, change, most=1).matched_count:
            return True
        if not write._upsert:
            return True
        given = {key: value for key, value in query.items() if not isinstance(value, dict)}
        return self._insert(_changed(given, change))

    def _insert(self, document: Document) -> bool:
        if document["_id"] in self.kept:
            return False
        self.kept[document["_id"]] = deepcopy(document)
        return True

    def _update(self, query: Document, update: Document, most: int | None) -> Changed:
        keys = [key for key in self._candidates(query) if _matches(self.kept[key], query)][:most]
        result = Changed(matched_count=len(keys))
        for key in keys:
            after = _changed(self.kept[key], update)
            result.modified_count += after != self.kept[key]
            self.kept[key] = after
        return result

    def _candidates(self, query: Document) -> list[str]:
        """Return the ids that may match, by the index on `_id`."""
        wanted = query.get("_id")
        if isinstance(wanted, str):
            return [wanted] if wanted in self.kept else []
        if isinstance(wanted, dict) and "$in" in wanted:
            return [key for key in wanted["$in"] if key in self.kept]
        return list(self.kept)

    async def _round_trip(self) -> None:
        """Let other tasks run, as a network call does."""
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.sleep(3600)
        if self.failures:
            raise self.failures.pop(0)


def _at(document: Document, path: str) -> Any:
    if "." not in path:
        return document.get(path, MISSING)
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def _comparable(value: Any) -> bool:
    return value is not MISSING and value is not None


def _matches(document: Document, query: Document) -> bool:
    return all(_holds(_at(document, path), wanted) for path, wanted in query.items())


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(COMPARISONS[name](value, operand) for name, operand in wanted.items())
    return bool(value == wanted) or (wanted is None and value is MISSING)


def _changed(document: Document, update: Document) -> Document:
    after = dict(document)
    for operator, fields in update.items():
        for name, value in fields.items():
            if "." in name:
                _change_nested(after, operator, name, value)
            elif operator == "$set":
                after[name] = deepcopy(value)
            elif operator == "$inc":
                after[name] = after.get(name, 0) + value
            else:
                assert operator == "$unset", operator
                after.pop(name, None)
    return after


def _change_nested(document: Document, operator: str, path: str, value: Any) -> None:
    outer, inner = path.split(".")
    nested = document[outer] = deepcopy(document.get(outer, {}))
    if operator == "$set":
        nested[inner] = deepcopy(value)
    else:
        assert operator == "$push", operator
        nested[inner] = [*nested.get(inner, ()), *deepcopy(value["$each"])]


def _projected(document: Document, fields: Mapping[str, Any] | None) -> Document:
    if fields is None:
        return document
    if any(fields.values()):
        return {key: document[key] for key in ("_id", *fields) if key in document}
    return {key: value for key, value in document.items() if key not in fields}
