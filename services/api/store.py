"""The api's ports over MongoDB."""

from collections.abc import Collection as Ids
from collections.abc import Iterable
from typing import Any

from pymongo import IndexModel, InsertOne

from contracts.chains import Chain
from contracts.characters import CharacterRecord, character_key
from contracts.jobs import Job
from services.api.domain import Accepted
from services.api.ports import Assets, ChainStore, Commands, JobQuery, Jobs, PageQuery, Preview, Submissions
from shared.mongo import Collection, find_by_id
from shared.mongo.group_commit import guarded_writes
from shared.outbox import OUTBOX_INDEX

PENDING = {"character_pending": True}
"""Matches submissions whose character is not marked as stored."""

SUBMISSION_INDEXES = (
    IndexModel(
        [("tenant", 1), ("idempotency_key", 1)],
        unique=True,
        partialFilterExpression={"idempotency_key": {"$exists": True}},
    ),
    IndexModel([("tenant", 1), ("requested_at", -1), ("_id", -1)]),
    IndexModel(
        [("tenant", 1), ("character_id", 1), ("requested_at", -1)],
        partialFilterExpression={"character": {"$exists": True}},
    ),
    IndexModel(
        [("tenant", 1), ("requested_at", -1), ("character_id", -1)],
        name="pending_characters",
        partialFilterExpression=PENDING,
    ),
    OUTBOX_INDEX,
)
COMMAND_INDEXES = (OUTBOX_INDEX,)

_UNUSED_FIELDS = {"events": 0, "handled": 0, "workflow": 0}


class MongoJobs(Jobs):
    """Reads `jobs`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def get(self, job_id: str) -> Job | None:
        found = await self._collection.find_one({"_id": job_id}, _UNUSED_FIELDS)
        return Job.model_validate(found) if found else None

    async def page(self, query: JobQuery) -> list[Job]:
        wanted = _filter(query) | ({"status": query.status} if query.status else {})
        return [Job.model_validate(found) for found in await _newest(self._collection, wanted, query.limit)]

    async def existing(self, ids: Iterable[str]) -> set[str]:
        return {found["_id"] for found in await find_by_id(self._collection, ids, {"_id": 1})}

    async def of_tenant(self, tenant: str, ids: Iterable[str]) -> dict[str, Job]:
        found = await find_by_id(self._collection, ids, _UNUSED_FIELDS)
        return {each["_id"]: Job.model_validate(each) for each in found if each["tenant"] == tenant}


class MongoSubmissions(Submissions):
    """Owns `submissions`. Concurrent additions share bulk writes."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._commit = guarded_writes(collection)

    async def add(self, accepted: Accepted, outbox: dict[str, Any]) -> bool:
        document = {"_id": accepted.job_id, **accepted.model_dump(exclude_none=True), "outbox": outbox}
        if accepted.character is not None:
            document["character_pending"] = True
        return await self._commit.write(InsertOne(document))

    async def known(self, accepted: Accepted) -> list[Accepted]:
        wanted: list[dict[str, Any]] = [{"_id": accepted.job_id}]
        if accepted.idempotency_key is not None:
            wanted.append({"tenant": accepted.tenant, "idempotency_key": accepted.idempotency_key})
        found = await self._collection.find({"$or": wanted}, {"outbox": 0}).to_list(None)
        known = [Accepted.model_validate(document) for document in found]
        return sorted(known, key=lambda other: other.idempotency_key != accepted.idempotency_key)

    async def get(self, job_id: str) -> Accepted | None:
        found = await self._collection.find_one({"_id": job_id}, {"outbox": 0})
        return Accepted.model_validate(found) if found else None

    async def of_tenant(self, tenant: str, job_ids: Iterable[str]) -> dict[str, Accepted]:
        found = await find_by_id(self._collection, job_ids, {"outbox": 0})
        accepted = (Accepted.model_validate(each) for each in found if each["tenant"] == tenant)
        return {each.job_id: each for each in accepted if each.is_job}

    async def storing(self, tenant: str, character_id: str) -> Accepted | None:
        wanted = {"tenant": tenant, "character_id": character_id, "character": {"$exists": True}}
        for kind in ({"chain_id": {"$exists": True}}, {}):
            newest = self._collection.find(wanted | kind, {"outbox": 0}).sort("requested_at", -1).limit(1)
            if found := await newest.to_list(None):
                return Accepted.model_validate(found[0])
        return None

    async def unplanned(self, query: JobQuery) -> list[Accepted]:
        wanted = _filter(query) | {"planned": {"$ne": True}}
        found = await _newest(self._collection, wanted, query.limit)
        return [Accepted.model_validate(document) for document in found]

    async def mark_planned(self, job_ids: Ids[str]) -> None:
        await self._collection.update_many({"_id": {"$in": list(job_ids)}}, {"$set": {"planned": True}})

    async def pending_characters(self, query: PageQuery) -> list[Accepted]:
        wanted = _page(query, "requested_at", "character_id") | PENDING
        order = [("requested_at", -1), ("character_id", -1)]
        found = self._collection.find(wanted, {"outbox": 0}).sort(order).limit(query.limit)
        return [Accepted.model_validate(document) for document in await found.to_list(None)]

    async def pending_of(self, tenant: str, character_ids: Iterable[str]) -> list[Accepted]:
        if not (ids := list(character_ids)):
            return []
        wanted = {"tenant": tenant, "character_id": {"$in": ids}, "character": {"$exists": True}}
        found = await self._collection.find(wanted | PENDING, {"outbox": 0}).to_list(None)
        return [Accepted.model_validate(document) for document in found]

    async def mark_stored(self, job_ids: Ids[str]) -> None:
        stored = {"$unset": {"character_pending": ""}}
        await self._collection.update_many({"_id": {"$in": list(job_ids)}}, stored)


class MongoCommands(Commands):
    """Owns `commands`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, command_id: str, tenant: str, outbox: dict[str, Any]) -> None:
        await self._collection.update_one(
            {"_id": command_id},
            {"$set": {"outbox": outbox}, "$setOnInsert": {"tenant": tenant, "requested_at": outbox["at"]}},
            upsert=True,
        )


class MongoChainStore(ChainStore):
    """Reads `chains` and `characters`."""

    def __init__(self, chains: Collection, characters: Collection) -> None:
        self._chains = chains
        self._characters = characters

    async def chain(self, chain_id: str) -> Chain | None:
        found = await self._chains.find_one({"_id": chain_id}, {"handled": 0})
        return Chain.model_validate(found) if found else None

    async def character(self, tenant: str, character_id: str) -> CharacterRecord | None:
        found = await self._characters.find_one({"_id": character_key(tenant, character_id)}, {"handled": 0})
        return CharacterRecord.model_validate(found) if found else None

    async def characters_of(self, tenant: str, ids: Iterable[str]) -> dict[str, CharacterRecord]:
        keys = (character_key(tenant, each) for each in ids)
        found = await find_by_id(self._characters, keys, {"handled": 0})
        records = (CharacterRecord.model_validate(document) for document in found)
        return {record.character_id: record for record in records}

    async def page(self, query: PageQuery) -> list[CharacterRecord]:
        order = [("created_at", -1), ("character_id", -1)]
        wanted = _page(query, "created_at", "character_id")
        found = self._characters.find(wanted, {"handled": 0}).sort(order).limit(query.limit)
        return [CharacterRecord.model_validate(document) for document in await found.to_list(None)]


class MongoAssets(Assets):
    """Reads `assets`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def previews(self, ids: Iterable[str]) -> dict[str, Preview]:
        found = await find_by_id(self._collection, ids, {"preview.key": 1, "placeholder": 1})
        return {
            asset["_id"]: Preview(
                key=(asset.get("preview") or {}).get("key"), placeholder=asset.get("placeholder")
            )
            for asset in found
        }


def _filter(query: JobQuery) -> dict[str, Any]:
    """Match all conditions of a query but the status."""
    return _page(query, "requested_at", "_id") | ({"type": query.type} if query.type else {})


def _page(query: PageQuery, time: str, key: str) -> dict[str, Any]:
    """Match what comes after the page before. The first bound on the time lets the index end the search."""
    wanted: dict[str, Any] = {"tenant": query.tenant}
    if query.user_id:
        wanted["user_id"] = query.user_id
    if query.before:
        before, last = query.before
        wanted[time] = {"$lte": before}
        wanted["$or"] = [{time: {"$lt": before}}, {key: {"$lt": last}}]
    return wanted


async def _newest(collection: Collection, wanted: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    order = [("requested_at", -1), ("_id", -1)]
    return (
        await collection.find(wanted, _UNUSED_FIELDS | {"outbox": 0}).sort(order).limit(limit).to_list(None)
    )
