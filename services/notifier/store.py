"""The notifier's ports over MongoDB."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import IndexModel, UpdateOne

from contracts.jobs import Job
from services.notifier.deliveries import Delivery
from services.notifier.endpoints import Endpoint
from services.notifier.ports import Deliveries, DeliveryFilter, Endpoints, Jobs, Submissions
from shared.mongo import Collection, due_by, due_index, find_by_id, write_guarded

KEPT_SECONDS = 30 * 24 * 3600
_PENDING = {"state": "pending"}

DELIVERY_INDEXES = (
    due_index("due_at"),
    IndexModel([("job_id", 1), ("seq", 1)]),
    IndexModel([("tenant", 1), ("created_at", -1)]),
    IndexModel([("created_at", 1)], expireAfterSeconds=KEPT_SECONDS),
)
ENDPOINT_INDEXES = (IndexModel([("tenant", 1)]),)

LONGEST_JOB = timedelta(hours=6)
"""A job that has not ended has changed since: no deadline is later."""
_UNUSED_FIELDS = {"handled": 0, "workflow": 0}


class MongoJobs(Jobs):
    """Reads `jobs`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def get(self, job_id: str) -> Job | None:
        found = await self._collection.find_one({"_id": job_id}, _UNUSED_FIELDS)
        return Job.model_validate(found) if found else None

    async def of_user(self, tenant: str, user_id: str, since: datetime, now: datetime) -> list[Job]:
        wanted = {
            "tenant": tenant,
            "user_id": user_id,
            "updated_at": {"$gte": min(since, now - LONGEST_JOB)},
            "$or": [{"updated_at": {"$gte": since}}, {"status": {"$in": ["pending", "running"]}}],
        }
        found = await self._collection.find(wanted, _UNUSED_FIELDS).sort("updated_at", 1).to_list(None)
        return [Job.model_validate(document) for document in found]

    async def webhooks(self, ids: Iterable[str]) -> dict[str, str]:
        found = await find_by_id(self._collection, ids, {"notify": 1})
        urls = {job["_id"]: (job.get("notify") or {}).get("webhook_url") for job in found}
        return {job_id: url for job_id, url in urls.items() if url}


class MongoSubmissions(Submissions):
    """Reads `submissions`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def tenant_of(self, job_id: str) -> str | None:
        found = await self._collection.find_one({"_id": job_id, "type": {"$ne": None}}, {"tenant": 1})
        return found["tenant"] if found else None


class MongoDeliveries(Deliveries):
    """Owns `deliveries`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        await write_guarded(
            self._collection,
            [
                UpdateOne(
                    {"_id": delivery.id}, {"$setOnInsert": delivery.model_dump(exclude={"id"})}, upsert=True
                )
                for delivery in deliveries
            ],
        )

    async def known(self, ids: Iterable[str]) -> set[str]:
        return {found["_id"] for found in await find_by_id(self._collection, ids, {"_id": 1})}

    async def due(self, now: datetime, limit: int) -> list[Delivery]:
        wanted = self._collection.find({"due_at": due_by(now)}, {"body": 0})
        return [_read(found) for found in await wanted.sort("due_at", 1).limit(limit).to_list(None)]

    async def heads(self, job_ids: Iterable[str]) -> dict[str, Delivery]:
        ids = list(job_ids)
        if not ids:
            return {}
        wanted = self._collection.find(_PENDING | {"job_id": {"$in": ids}}, {"body": 0})
        heads: dict[str, Delivery] = {}
        async for found in wanted.sort([("job_id", 1), ("seq", 1)]):
            heads.setdefault(found["job_id"], _read(found))
        return heads

    async def postpone(self, deliveries: Sequence[Delivery]) -> None:
        await write_guarded(
            self._collection,
            [
                UpdateOne({"_id": delivery.id, **_as_read(delivery)}, {"$set": {"due_at": delivery.due_at}})
                for delivery in deliveries
            ],
        )

    async def claim(self, delivery: Delivery, until: datetime) -> Delivery | None:
        result = await self._collection.update_one(
            {"_id": delivery.id, **_as_read(delivery)}, {"$set": {"lease_until": until, "due_at": until}}
        )
        if not result.modified_count:
            return None
        found = await self._collection.find_one({"_id": delivery.id}, {"body": 1})
        return delivery.model_copy(
            update={"lease_until": until, "due_at": until, "body": found["body"] if found else ""}
        )

    async def save(self, delivery: Delivery) -> None:
        changed = delivery.model_dump(
            include={
                "state",
                "attempts",
                "due_at",
                "lease_until",
                "finished_at",
                "last_status",
                "last_error",
            }
        )
        await self._collection.update_one({"_id": delivery.id, **_PENDING}, {"$set": changed})

    async def listed(self, wanted: DeliveryFilter, limit: int) -> list[Delivery]:
        found = (
            self._collection.find(_filter(wanted), {"body": 0, "credentials": 0})
            .sort("created_at", -1)
            .limit(limit)
        )
        return [_read(document) for document in await found.to_list(None)]

    async def replay(self, wanted: DeliveryFilter, now: datetime, until: datetime) -> int:
        again = {"state": "pending", "attempts": 0, "due_at": now, "retry_until": until}
        again |= {"lease_until": None, "finished_at": None}
        ended = _filter(wanted) | {"finished_at": {"$ne": None}}
        return (await self._collection.update_many(ended, {"$set": again})).modified_count


class MongoEndpoints(Endpoints):
    """Owns `endpoints`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def of(self, ids: Iterable[str]) -> dict[str, Endpoint]:
        found = await find_by_id(self._collection, ids)
        return {document["_id"]: _endpoint(document) for document in found}

    async def of_tenant(self, tenant: str) -> list[Endpoint]:
        found = await self._collection.find({"tenant": tenant}).sort("_id", 1).to_list(None)
        return [_endpoint(document) for document in found]

    async def save(self, endpoint: Endpoint) -> None:
        known = endpoint.model_dump(exclude={"id"})
        await self._collection.update_one({"_id": endpoint.id}, {"$set": known}, upsert=True)


def _as_read(delivery: Delivery) -> dict[str, Any]:
    """Match a delivery that nobody has claimed or attempted since it was read."""
    return _PENDING | {"attempts": delivery.attempts, "lease_until": delivery.lease_until}


def _filter(wanted: DeliveryFilter) -> dict[str, Any]:
    fields = wanted.model_dump(exclude={"since"}, exclude_none=True)
    return fields | ({"created_at": {"$gte": wanted.since}} if wanted.since else {})


def _endpoint(document: Mapping[str, Any]) -> Endpoint:
    return Endpoint.model_validate({"id": document["_id"], **document})


def _read(document: Mapping[str, Any]) -> Delivery:
    return Delivery.model_validate({"body": "", "id": document["_id"], **document})
