"""Stages of the floor: each reads batches from one topic and writes to the next."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from pymongo import AsyncMongoClient, InsertOne, ReplaceOne, UpdateOne

from bench import samples
from bench.contestants.signing import signed_put

Document = dict[str, Any]
POLL_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Work:
    """One record: its job, its tenant and its body."""

    job_id: str
    tenant: str
    body: Document


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """One record to publish: the name of its example, and the differences from it."""

    name: str
    work: Work
    output: str | None = None


class Clients:
    """The fastest known clients: aiohttp for the provider and signed puts, PyMongo's asyncio API."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.mongo: AsyncMongoClient[Document] = AsyncMongoClient(environment["MONGO_URL"])
        self.database = self.mongo[environment["MONGO_DATABASE"]]
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
        self._modal = environment["MODAL_BASE_URL"]
        self._keys = {"Modal-Key": environment["MODAL_KEY"], "Modal-Secret": environment["MODAL_SECRET"]}

    async def draw(self, job_id: str) -> tuple[str, str]:
        """Submit, poll until the result is ready, and return the call's id and the output's path."""
        sent = samples.submission(job_id)
        async with self.http.post(f"{self._modal}/submit", json=sent, headers=self._keys) as answer:
            call_id: str = (await answer.json())["call_id"]
        while True:
            async with self.http.get(f"{self._modal}/result/{call_id}", headers=self._keys) as answer:
                if answer.status == 200:
                    return call_id, (await answer.json())["outputs"][0]["path"]
            await asyncio.sleep(POLL_SECONDS)

    async def store(self, work: Work) -> None:
        """Download the picture and put it into the bucket."""
        path = work.body["outputs"][0]["path"]
        async with self.http.get(f"{self._modal}{path}", headers=self._keys) as answer:
            data = await answer.read()
        endpoint = self.environment["S3_ENDPOINT"]
        key = f"/{self.environment['S3_BUCKET']}/{samples.object_key(work.job_id, work.tenant)}"
        headers = signed_put(self.environment, endpoint.removeprefix("http://"), key, data)
        async with self.http.put(f"{endpoint}{key}", data=data, headers=headers) as answer:
            answer.raise_for_status()

    async def close(self) -> None:
        await self.http.close()
        await self.mongo.close()


async def plan(clients: Clients, batch: Sequence[Work]) -> list[OutgoingRecord]:
    return [OutgoingRecord("generation.planned", work) for work in batch]


async def open_jobs(clients: Clients, batch: Sequence[Work]) -> list[OutgoingRecord]:
    jobs = [samples.job_document(work.job_id, work.tenant) for work in batch]
    await clients.database["jobs"].bulk_write([InsertOne(job) for job in jobs], ordered=False)
    names = ("job.events.accepted", "render.requested.modal")
    return [OutgoingRecord(name, work) for work in batch for name in names]


async def render(clients: Clients, batch: Sequence[Work]) -> list[OutgoingRecord]:
    attempts = clients.database["attempts"]
    intents = [samples.attempt_document(work.job_id, work.tenant) for work in batch]
    await attempts.bulk_write([InsertOne(intent) for intent in intents], ordered=False)
    drawn = await asyncio.gather(*(clients.draw(work.job_id) for work in batch))
    ends = [
        UpdateOne({"_id": intent["_id"], "state": "accepted"}, samples.attempt_end(call_id))
        for intent, (call_id, _) in zip(intents, drawn, strict=True)
    ]
    await attempts.bulk_write(ends, ordered=False)
    return [
        OutgoingRecord("render.succeeded", work, path) for work, (_, path) in zip(batch, drawn, strict=True)
    ]


async def store(clients: Clients, batch: Sequence[Work]) -> list[OutgoingRecord]:
    await asyncio.gather(*(clients.store(work) for work in batch))
    assets = [InsertOne(samples.asset_document(work.job_id, work.tenant)) for work in batch]
    await clients.database["assets"].bulk_write(assets, ordered=False)
    return [OutgoingRecord("result.stored", work) for work in batch]


async def complete(clients: Clients, batch: Sequence[Work]) -> list[OutgoingRecord]:
    jobs = clients.database["jobs"]
    ids = [work.job_id for work in batch]
    found = await jobs.find({"_id": {"$in": ids}}).to_list(None)
    ends = [
        ReplaceOne({"_id": job["_id"], "version": job["version"]}, samples.completed(job)) for job in found
    ]
    await jobs.bulk_write(ends, ordered=False)
    names = ("job.events.started", "job.events.image_ready", "job.events.completed")
    return [OutgoingRecord(name, work) for work in batch for name in names]


@dataclass(frozen=True)
class Stage:
    """A topic, and the handler of its batches."""

    source: str
    act: Callable[[Clients, Sequence[Work]], Awaitable[list[OutgoingRecord]]]


EVENTS: Final = "floor.job.events"
STAGES: Final = (
    Stage("floor.generation.requested", plan),
    Stage("floor.generation.planned", open_jobs),
    Stage("floor.render.requested.modal", render),
    Stage("floor.render.succeeded", store),
    Stage("floor.result.stored", complete),
)
TOPICS: Final = (*(stage.source for stage in STAGES), EVENTS)


def topic_of(outgoing: OutgoingRecord) -> str:
    """Return the topic of a record."""
    return EVENTS if outgoing.name.startswith("job.events") else f"floor.{outgoing.name}"


def body_of(outgoing: OutgoingRecord) -> bytes:
    """Return the serialized body of a record."""
    body = samples.body(outgoing.name, outgoing.work.job_id, outgoing.work.tenant)
    return body.replace(samples.OUTPUT.encode(), outgoing.output.encode()) if outgoing.output else body


def work_of(value: bytes) -> Work:
    """Parse a record."""
    body: Document = json.loads(value)
    return Work(body["job_id"], body["tenant"], body)
