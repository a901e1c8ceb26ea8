"""Interface of a contestant, and the check that it did all the work of a durable job."""

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
"""Called with the id of a job for each of its notifications."""


@dataclass(frozen=True)
class SharedServers:
    """The running servers that all contestants share, and a folder for their own files."""

    stack: Stack
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with the servers' addresses, as services get them."""
        return self.stack.environment

    @property
    def servers(self) -> dict[str, int]:
        """Process ids of the shared servers, by name."""
        return {
            name: state.pid
            for name, state in self.stack.processes.items()
            if state.kind != "service" and state.pid is not None
        }


class Contestant(Protocol):
    """One implementation of the job. It is started, given jobs and stopped once per round."""

    name: ClassVar[str]
    open_jobs: ClassVar[int]
    """Number of concurrently open jobs with the highest throughput."""

    async def start(self) -> None:
        """Start all processes and wait until they are ready."""

    async def submit(self, job_id: str, tenant: str) -> None:
        """Submit a job of one image."""

    async def listen(self, finished: Finished, ready: asyncio.Event) -> None:
        """Report notifications to `finished` until cancelled."""

    async def stop(self) -> None:
        """Stop all processes."""

    @property
    def processes(self) -> Mapping[str, int]:
        """Process ids by group name; a group is the process and its descendants."""

    @property
    def database(self) -> str:
        """Name of the contestant's database."""


@dataclass(frozen=True)
class Outcome:
    """Number of durable records and objects."""

    completed_jobs: int
    attempts: int
    assets: int
    objects: int

    def __sub__(self, other: "Outcome") -> "Outcome":
        mine, theirs = vars(self), vars(other)
        return Outcome(**{name: mine[name] - theirs[name] for name in mine})


class IncompleteWork(Exception):
    """A contestant did not leave everything that a job has to leave."""


def check_work(name: str, done: Outcome, jobs: int, notifications: int) -> None:
    """Raise IncompleteWork if a document, an object or a notification is missing or duplicated."""
    found = {**vars(done), "notifications": notifications}
    if wrong := {what: count for what, count in found.items() if count != jobs}:
        raise IncompleteWork(f"{name}: {jobs} jobs were submitted, but there are {wrong}")


@asynccontextmanager
async def database_of(shared: SharedServers, name: str = "") -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Open the platform's database, or that of another contestant."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        shared.environment["MONGO_URL"], tz_aware=True
    )
    async with client:
        yield client[name or shared.environment["MONGO_DATABASE"]]


async def count_work(shared: SharedServers, database: str, tenant: str) -> Outcome:
    """Count the records and objects in the stores."""
    async with database_of(shared, database) as stored:
        return Outcome(
            completed_jobs=await stored["jobs"].count_documents({"tenant": tenant, "status": "completed"}),
            attempts=await stored["attempts"].estimated_document_count(),
            assets=await stored["assets"].estimated_document_count(),
            objects=await _count_objects(shared.environment, tenant),
        )


async def _count_objects(environment: Mapping[str, str], tenant: str) -> int:
    """Count the images of a tenant without previews, which only this platform makes."""
    session = aioboto3.Session(environment["S3_ACCESS_KEY"], environment["S3_SECRET_KEY"])
    count = 0
    async with session.client("s3", endpoint_url=environment["S3_ENDPOINT"], region_name="us-east-1") as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=environment["S3_BUCKET"], Prefix=f"{tenant}/"
        )
        async for page in pages:
            count += sum("preview" not in each["Key"] for each in page.get("Contents", []))
    return count
