"""Documents in memory, guarded by their version, and a collection with the calls that we use."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import bson
from bson.codec_options import CodecOptions
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError, DocumentTooLarge

from shared.fold import Documents, Folded
from shared.mongo import DUPLICATE_KEY, TYPES, Document

D = TypeVar("D", bound=Folded)


class FakeDocuments(Documents[D]):
    """Documents in memory: dumped when written, validated when read."""

    def __init__(self, kind: type[D]) -> None:
        self._kind = kind
        self._kept: dict[str, dict[str, Any]] = {}
        self._rivals: list[dict[str, D]] = []
        self.loads = 0
        self.saves = 0

    def rival(self, documents: dict[str, D]) -> None:
        """Let another process write these between the next load and its save."""
        self._rivals.append(documents)

    def put(self, key: str, document: D) -> None:
        self._kept[key] = document.model_dump()

    def get(self, key: str) -> D | None:
        return self._kind.model_validate(self._kept[key]) if key in self._kept else None

    async def load(self, keys: Iterable[str]) -> dict[str, D]:
        self.loads += 1
        found = {key: self.get(key) for key in keys}
        return {key: document for key, document in found.items() if document is not None}

    async def save(self, documents: dict[str, D]) -> set[str]:
        self.saves += 1
        for key, document in (self._rivals.pop(0) if self._rivals else {}).items():
            self.put(key, document)
        lost = {key for key, document in documents.items() if self._version(key) != document.version - 1}
        for key in documents.keys() - lost:
            self.put(key, documents[key])
        return lost

    def _version(self, key: str) -> int:
        kept = self._kept.get(key)
        return int(kept["version"]) if kept else 0


LARGEST_DOCUMENT = 16 * 1024 * 1024
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True, type_registry=TYPES)


def encoded(document: Mapping[str, Any]) -> bytes:
    """Encode as the driver does; refuse values that BSON cannot hold."""
    return bson.encode(document, codec_options=_OPTIONS)


def decoded(document: bytes) -> Document:
    return bson.decode(document, codec_options=_OPTIONS)


class FakeCursor:
    """The result of `find`."""

    def __init__(self, found: Sequence[Document]) -> None:
        self._found = list(found)

    def limit(self, most: int) -> "FakeCursor":
        return FakeCursor(self._found[:most])

    def batch_size(self, _size: int) -> "FakeCursor":
        return self

    async def to_list(self, _length: int | None) -> list[Document]:
        return self._found

    async def __aiter__(self) -> Any:
        for document in self._found:
            yield document


class FakeCollection:
    """A collection with `find` by `_id` or time range, and bulk writes of guarded upserts."""

    def __init__(self, *documents: Document) -> None:
        self.kept: dict[str, Document] = {document["_id"]: document for document in documents}
        self.failure: Exception | None = None
        self.largest_document = LARGEST_DOCUMENT
        self.bulk_sizes: list[int] = []
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.answers.set()

    async def find_one(self, query: Mapping[str, Any], _fields: Any = None) -> Document | None:
        return deepcopy(self.kept.get(query["_id"]))

    def find(self, query: Mapping[str, Any], _fields: Any = None) -> FakeCursor:
        if self.failure:
            raise self.failure
        return FakeCursor([deepcopy(kept) for kept in self.kept.values() if _matches(kept, query)])

    async def bulk_write(self, writes: Sequence[Any], *, ordered: bool) -> None:
        assert not ordered
        self.bulk_sizes.append(len(writes))
        self.asked.set()
        for write in writes:
            if len(encoded(write._doc)) > self.largest_document:
                raise DocumentTooLarge("BSON document too large")
        await self.answers.wait()
        if self.failure:
            raise self.failure
        lost = [place for place, write in enumerate(writes) if not self._write(write)]
        if lost:
            problems = [{"index": place, "code": DUPLICATE_KEY} for place in lost]
            raise BulkWriteError({"writeErrors": problems, "writeConcernErrors": []})

    def _write(self, write: Any) -> bool:
        match write:
            case ReplaceOne():
                key = write._filter["_id"]
                if key in self.kept and not _matches(self.kept[key], write._filter):
                    return False
            case InsertOne():
                key = write._doc["_id"]
                if key in self.kept:
                    return False
        self.kept[key] = {"_id": key} | decoded(encoded(write._doc))
        return True


def _matches(document: Document, query: Mapping[str, Any]) -> bool:
    return all(_holds(document.get(field), wanted) for field, wanted in query.items())


def _holds(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    if "$in" in wanted:
        return value in wanted["$in"]
    return value is not None and bool(wanted["$gt"] < value <= wanted["$lte"])
