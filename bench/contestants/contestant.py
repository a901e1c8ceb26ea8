"""What every contestant can do, and how one durable job is counted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import aioboto3
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from deploy.local.stack import Stack

Finished = Callable[[str], None]
"""Called with the id of each job of which a notification came."""


@dataclass(frozen=True)
class Place:
    """The servers that all contestants share, and a folder for their own files."""

    stack: Stack
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Where the servers are, as the services are told."""
        return self.stack.environment

    @property
    def servers(self) -> dict[str, int]:
        """The processes of the shared servers, by name."""
        return {
            name: state.pid
            for name, state in self.stack.processes.items()
            if state.kind != "service" and state.pid is not None
        }


class Contestant(Protocol):
    """One way to do the job. It is started, given jobs, and stopped, once per round."""

    name: ClassVar[str]
    open_jobs: ClassVar[int]
    """So many at once give it its highest throughput."""

    async def start(self) -> None:
        """All its processes are ready."""

    async def submit(self, job_id: str, tenant: str) -> None:
        """Ask for one image."""

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        """Hear notifications until cancelled."""

    async def stop(self) -> None:
        """Nothing of it runs any more."""

    @property
    def processes(self) -> Mapping[str, int]:
        """Its processes' roots, by the name of their group."""

    @property
    def database(self) -> str:
        """Where its documents are."""


@dataclass(frozen=True)
class Outcome:
    """How many durable things there are."""

    completed_jobs: int
    attempts: int
    assets: int
    objects: int

    def __sub__(self, other: "Outcome") -> "Outcome":
        mine, theirs = vars(self), vars(other)
        return Outcome(**{name: mine[name] - theirs[name] for name in mine})


class LessWork(Exception):
    """A contestant did not leave what a job has to leave."""


def check_work(name: str, done: Outcome, jobs: int, notifications: int) -> None:
    """Raises LessWork when a document, an object or a notification is missing or was made twice."""
    found = {**vars(done), "notifications": notifications}
    if wrong := {what: count for what, count in found.items() if count != jobs}:
        raise LessWork(f"{name}: {jobs} jobs were asked for, but there are {wrong}")


@asynccontextmanager
async def database_of(place: Place, name: str = "") -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Our database, or that of another contestant."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(place.environment["MONGO_URL"], tz_aware=True)
    async with client:
        yield client[name or place.environment["MONGO_DATABASE"]]


async def count_work(place: Place, database: str, tenant: str) -> Outcome:
    """What is in the stores now."""
    async with database_of(place, database) as stored:
        return Outcome(
            completed_jobs=await stored["jobs"].count_documents({"tenant": tenant, "status": "completed"}),
            attempts=await stored["attempts"].estimated_document_count(),
            assets=await stored["assets"].estimated_document_count(),
            objects=await _count_objects(place.environment, tenant),
        )


async def _count_objects(environment: Mapping[str, str], tenant: str) -> int:
    """Images of a tenant; previews, which only ours makes, do not count."""
    session = aioboto3.Session(environment["S3_ACCESS_KEY"], environment["S3_SECRET_KEY"])
    count = 0
    async with session.client("s3", endpoint_url=environment["S3_ENDPOINT"], region_name="us-east-1") as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=environment["S3_BUCKET"], Prefix=f"{tenant}/"
        )
        async for page in pages:
            count += sum("preview" not in each["Key"] for each in page.get("Contents", []))
    return count
