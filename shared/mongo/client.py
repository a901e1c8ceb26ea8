"""MongoDB through motor, which only this module imports."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.decimal128 import Decimal128
from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import IndexModel, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from shared.errors import StartupError, UnstorableDocument
from shared.settings import MongoSettings
from shared.transient import is_document_error
from shared.waiting import Report, unreported, wait_until_up

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Write = ReplaceOne[Document] | UpdateOne | InsertOne[Document]

DUPLICATE_KEY = 11000
_LARGEST_DECIMAL = 10**34 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INDEX_SECONDS = 900.0
"""How long start-up waits for the indexes of one collection: building them for millions takes minutes."""
IN_PAGE = 100
"""Number of keys in one `$in`: some servers compare every key with every document."""


@asynccontextmanager
async def connect(
    settings: MongoSettings, report: Report = unreported, *, patience_seconds: float = 20.0
) -> AsyncIterator[Database]:
    """Yield the database, once the server answers. Times are read in UTC.

    Operations that take longer than `patience_seconds` fail.

    Raises:
        StartupError: naming the address, when it does not answer within `startup_seconds`.
    """
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        settings.url.get_secret_value(),
        tz_aware=True,
        type_registry=TYPES,
        serverSelectionTimeoutMS=5000,
        timeoutMS=round(1000 * patience_seconds),
        maxPoolSize=32,
    )
    try:
        address = settings.url.get_secret_value().rpartition("@")[2].removeprefix("mongodb://")

        async def ping() -> None:
            await client.admin.command("ping")

        await wait_until_up("MongoDB", address, ping, seconds=settings.startup_seconds, report=report)
        yield client[settings.database]
    finally:
        client.close()


async def ping(database: Database) -> str | None:
    """For health: None, or an error if the database does not answer."""
    await database.command("ping")
    return None


async def ensure_indexes(
    collection: Collection,
    *indexes: IndexModel,
    report: Report = unreported,
    seconds: float = INDEX_SECONDS,
) -> None:
    """Create the indexes that are missing; safe from several processes.

    Raises:
        StartupError: after `seconds`. The server continues, and the next start finds the indexes.
    """
    task = f"indexes of {collection.name}"
    report(task, f"waiting for MongoDB to build the {task}")
    try:
        with pymongo.timeout(None):
            await asyncio.wait_for(collection.create_indexes(list(indexes)), seconds)
    except TimeoutError:
        raise StartupError(
            f"MongoDB has not built the {task} after {seconds:g} s. See its log; start this process again"
        ) from None
    report(task, None)


def due_index(field: str) -> IndexModel:
    """Return an index of a time that few documents have; it contains only those documents."""
    return IndexModel([(field, 1)], sparse=True)


def due_by(time: datetime) -> dict[str, datetime]:
    """Return the condition for times up to this one, for `due_index`. The lower bound excludes nulls."""
    return {"$gt": EPOCH, "$lte": time}


def in_pages(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield pages of keys for `$in`. The cost per key does not grow with the number of keys."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), IN_PAGE):
        yield ordered[start : start + IN_PAGE]


async def find_by_id(
    collection: Collection, ids: Iterable[str], fields: Mapping[str, Any] | None = None
) -> list[Document]:
    """Return all documents with these ids, in one round trip."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return []
    if len(wanted) == 1:
        found = await collection.find_one({"_id": wanted[0]}, fields)
        return [found] if found else []
    return await collection.find({"_id": {"$in": wanted}}, fields).to_list(None)


async def write_guarded(collection: Collection, writes: Sequence[Write]) -> set[int]:
    """Write guarded upserts and inserts in one bulk write; return the positions of those that lost.

    A write is guarded by a filter on `_id` and what must still hold (`version`, `owner`), with
    `upsert=True`: when the guard fails, the server tries to insert the same `_id` and reports a
    duplicate key for exactly that position. One round trip shows which writes won.
    """
    if not writes:
        return set()
    with refusing_unstorable():
        try:
            await _write(collection, writes)
        except BulkWriteError as error:
            problems = error.details.get("writeErrors", [])
            others = [problem for problem in problems if problem["code"] != DUPLICATE_KEY]
            if others or error.details.get("writeConcernErrors"):
                raise
            return {problem["index"] for problem in problems}
    return set()


async def _write(collection: Collection, writes: Sequence[Write]) -> None:
    try:
        await collection.bulk_write(list(writes), ordered=False)
    except OverflowError:  # raised while encoding, before anything is sent; it is rare, so found by trying
        await collection.bulk_write([_with_large_integers(write) for write in writes], ordered=False)


def _with_large_integers(write: Write) -> Write:
    changed = copy(write)
    changed._doc = storable(write._doc)
    return changed


def storable(value: Any) -> Any:
    """Return a value with whole numbers beyond 64 bits as `Decimal128`, which has 34 digits.

    They are read as whole numbers again. Raises `UnstorableDocument` for more digits.
    """
    if isinstance(value, dict):
        return {name: storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        if abs(value) > _LARGEST_DECIMAL:
            raise UnstorableDocument("it has a whole number of more than 34 digits")
        return Decimal128(str(value))
    return value


class _LargeIntegers(TypeDecoder):
    """Reads `Decimal128` as a whole number."""

    bson_type = Decimal128

    def transform_bson(self, value: Any) -> int:
        return int(value.to_decimal())


TYPES = TypeRegistry([_LargeIntegers()])
"""Codecs for values that BSON has no type for."""


@contextmanager
def refusing_unstorable() -> Iterator[None]:
    """Convert all errors of a refused document into one type.

    Raises:
        UnstorableDocument: naming the reason.
    """
    try:
        yield
    except (InvalidDocument, OverflowError, UnicodeError, RecursionError) as error:
        raise UnstorableDocument(f"{type(error).__name__}: {str(error)[:200]}") from error
    except PyMongoError as error:
        if is_document_error(error):
            raise UnstorableDocument(f"{type(error).__name__}: {str(error)[:200]}") from error
        raise
