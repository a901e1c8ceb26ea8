"""The end of a chaos run: no open job, empty outboxes, no pending delivery, no unread record."""

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
LOOK_SECONDS = 2.0
HURRY_SECONDS = 10.0
FAR_SECONDS = 35.0
"""What comes sooner is waited for, so that few are hurried who only stand behind another."""
LOOKS = 2
"""So many in a row must find nothing: what is between two places is seen in neither."""


async def all_ready(stack: Stack, seconds: float) -> None:
    """Every process that was killed is back."""
    async with asyncio.timeout(seconds):
        while not all(process.ready for process in stack.processes.values()):
            await asyncio.sleep(0.2)


async def ended(watcher: Watcher, asked: Iterable[str], seconds: float) -> set[str]:
    """Wait for the end of all jobs, those of chains too; returns those that did not come in time."""
    wanted = set(asked)
    try:
        async with asyncio.timeout(seconds):
            while not (wanted | watcher.seen) <= watcher.ended:
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    return (wanted | watcher.seen) - watcher.ended


async def at_rest(stack: Stack, seconds: float) -> list[str]:
    """Wait until nothing is under way; returns what still is after that time."""
    environment = stack.environment
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(environment["MONGO_URL"], tz_aware=True)
    database = client[environment["MONGO_DATABASE"]]

    hurried = -HURRY_SECONDS

    async def look() -> list[str]:
        nonlocal hurried
        if (now := asyncio.get_running_loop().time()) >= hurried + HURRY_SECONDS:
            hurried = now
            await _let_time_pass(database)
        return [*await _under_way(database), *await _unread(environment["KAFKA_BOOTSTRAP"])]

    try:
        return await nothing_twice(look, seconds, LOOK_SECONDS)
    finally:
        await client.close()


async def nothing_twice(
    look: Callable[[], Awaitable[list[str]]], seconds: float, between: float
) -> list[str]:
    """Look until nothing was found as often as it takes; returns what was found last."""
    found, empty = ["nobody has looked"], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await look()
                empty = 0 if found else empty + 1
                if empty == LOOKS:
                    return found
                await asyncio.sleep(between)
    except TimeoutError:
        return found


async def _let_time_pass(database: Any) -> None:
    """Webhooks that wait for their next try, up to an hour, are tried now."""
    now = datetime.now(UTC)
    for collection, (field, question) in waiting_for_next_try(now).items():
        await database[collection].update_many(question, {"$set": {field: now}})


def waiting_for_next_try(now: datetime) -> dict[str, tuple[str, dict[str, Any]]]:
    """Which field of which documents says so; one under a lease is being sent, and left alone."""
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
        return [f"lag: the broker does not say: {error!r}"]


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
        found += [f"{collection} owes: {each['_id']}" for each in ids]
    return found
