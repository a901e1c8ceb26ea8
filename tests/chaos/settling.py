"""When a platform has come to rest: nothing open, nothing owed, nothing to be delivered."""

import asyncio
from collections.abc import Iterable
from typing import Any

from pymongo import AsyncMongoClient

from deploy.local.stack import Stack
from tests.chaos.watching import Watcher

OPEN_ATTEMPTS = ["accepted", "submitting", "unknown", "submitted"]
LOOK_SECONDS = 2.0


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
    under_way: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while under_way := await _under_way(client[environment["MONGO_DATABASE"]]):
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        pass
    finally:
        await client.close()
    return under_way


async def _under_way(database: Any) -> list[str]:
    questions = {
        "chains": {"status": "running"},
        "attempts": {"state": {"$in": OPEN_ATTEMPTS}},
        "deliveries": {"state": "pending"},
        "assets": {"state": "pending"},
    }
    found = []
    for collection, question in questions.items():
        ids = await database[collection].find(question, {"_id": 1}).to_list(None)
        found += [f"{collection}: {each['_id']}" for each in ids]
    for collection in ("submissions", "wishes", "attempts", "assets"):
        ids = await database[collection].find({"owed.at": {"$exists": True}}, {"_id": 1}).to_list(None)
        found += [f"{collection} owes: {each['_id']}" for each in ids]
    return found
