"""The end of a run: no open job, empty outboxes, no pending delivery, no unread record."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.errors import KafkaError
from pymongo import AsyncMongoClient

from deploy.local.stack import Stack
from tests.chaos.lag import unread
from tests.chaos.watching import Watcher

OPEN_ATTEMPTS = ["accepted", "submitting", "unknown", "submitted"]
CHECK_SECONDS = 2.0
ADVANCE_SECONDS = 10.0
FAR_SECONDS = 35.0
"""Deliveries that are due sooner are not advanced: most only wait for a predecessor."""
EMPTY_CHECKS = 2
"""Number of consecutive empty checks: a message between two places is seen in neither."""


async def all_ready(stack: Stack, seconds: float) -> None:
    """Wait until every killed process is ready again."""
    async with asyncio.timeout(seconds):
        while not all(process.ready for process in stack.processes.values()):
            await asyncio.sleep(0.2)


async def ended(watcher: Watcher, asked: Iterable[str], seconds: float) -> set[str]:
    """Wait for the end of all jobs, including those of chains; return those that did not end in time."""
    wanted = set(asked)
    try:
        async with asyncio.timeout(seconds):
            while not (wanted | watcher.seen) <= watcher.ended:
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    return (wanted | watcher.seen) - watcher.ended


async def at_rest(stack: Stack, seconds: float) -> list[str]:
    """Wait until no work is open; return the work that is open when the time is up."""
    environment = stack.environment
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(environment["MONGO_URL"], tz_aware=True)
    database = client[environment["MONGO_DATABASE"]]

    advanced = -ADVANCE_SECONDS

    async def check() -> list[str]:
        nonlocal advanced
        if (now := asyncio.get_running_loop().time()) >= advanced + ADVANCE_SECONDS:
            advanced = now
            await _advance_deliveries(database)
        return [*await _under_way(database), *await _unread(environment["KAFKA_BOOTSTRAP"])]

    try:
        return await nothing_in_a_row(check, seconds, CHECK_SECONDS)
    finally:
        await client.close()


async def nothing_in_a_row(
    check: Callable[[], Awaitable[list[str]]], seconds: float, between: float
) -> list[str]:
    """Check until `EMPTY_CHECKS` checks in a row are empty; return the last findings."""
    found, empty = ["not checked"], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await check()
                empty = 0 if found else empty + 1
                if empty == EMPTY_CHECKS:
                    return found
                await asyncio.sleep(between)
    except TimeoutError:
        return found


async def _advance_deliveries(database: Any) -> None:
    """Make webhooks due that wait for their next try, up to an hour."""
    now = datetime.now(UTC)
    for collection, (field, question) in waiting_for_next_try(now).items():
        await database[collection].update_many(question, {"$set": {field: now}})


def waiting_for_next_try(now: datetime) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the fields and filters of waiting deliveries; one under a lease is being sent: left out."""
    far = {"$gt": now + timedelta(seconds=FAR_SECONDS)}
    over = {"$not": {"$gt": now}}  # or none
    return {
        "endpoints": ("backoff_until", {"backoff_until": far}),
        "deliveries": ("due_at", {"state": "pending", "lease_until": over, "due_at": far}),
    }


async def _unread(bootstrap: str) -> list[str]:
    try:
        return await unread(bootstrap)
    except KafkaError as error:
        return [f"lag: the broker does not answer: {error!r}"]


async def _under_way(database: Any) -> list[str]:
    questions = {
        "jobs": {"status": {"$nin": ["completed", "failed"]}},
        "chains": {"state": "running"},
        "attempts": {"state": {"$in": OPEN_ATTEMPTS}},
        "deliveries": {"state": "pending"},
        "assets": {"state": "pending"},
    }
    found = []
    for collection, question in questions.items():
        ids = await database[collection].find(question, {"_id": 1}).to_list(None)
        found += [f"{collection}: {each['_id']}" for each in ids]
    for collection in ("submissions", "commands", "attempts", "assets"):
        ids = await database[collection].find({"outbox.at": {"$exists": True}}, {"_id": 1}).to_list(None)
        found += [f"{collection} outbox: {each['_id']}" for each in ids]
    return found
