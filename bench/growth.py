"""What a job costs beside many finished ones, which are inserted in bulk."""

import logging
import statistics
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pymongo import AsyncMongoClient

from bench.contestants.contestant import Place
from bench.contestants.ours import Ours
from bench.results import Growth, Round
from bench.rounds import turn
from bench.servers import shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")

COLLECTIONS: Final = ("jobs", "attempts", "assets")
PAGE: Final = 500
Document = dict[str, Any]


async def growth(folder: Path, sizes: Sizes) -> tuple[Growth, ...]:
    """With each number of finished jobs in turn; those of before stay."""
    found: list[Growth] = []
    stored = 0
    async with shared_servers(folder / "growth") as place:
        await turn(place, Ours(place), 0, sizes)  # leaves finished jobs to copy
        for wanted in sizes.finished_jobs:
            await _insert(place, stored, wanted)
            stored = wanted
            runs = [await turn(place, Ours(place), wanted + n, sizes) for n in range(sizes.growth_rounds)]
            found.append(_growth(wanted, runs))
            log.info("%d finished jobs: %.1f ms of CPU per image", wanted, found[-1].cpu_ms)
    return tuple(found)


def _growth(finished: int, runs: list[Round]) -> Growth:
    return Growth(
        finished_jobs=finished,
        images_per_s=statistics.median(run.images_per_s for run in runs),
        cpu_ms=statistics.median(run.all_cpu_ms for run in runs),
    )


async def _insert(place: Place, first: int, end: int) -> None:
    """Copies of one finished job, each under its own id, in every collection."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(place.environment["MONGO_URL"])
    try:
        database = client[place.environment["MONGO_DATABASE"]]
        job = await database["jobs"].find_one({"status": "completed"})
        assert job is not None, "a round has left finished jobs"
        for name in COLLECTIONS:
            key = {"jobs": job["_id"], "attempts": f"{job['_id']}/0/1", "assets": f"{job['_id']}/0"}[name]
            known = await database[name].find_one({"_id": key})
            assert known is not None, f"{key} is in {name}"
            for start in range(first, end, PAGE):
                copies = [_copy(known, job["_id"], n) for n in range(start, min(end, start + PAGE))]
                await database[name].insert_many(copies, ordered=False)
    finally:
        await client.close()


def _copy(value: Any, old_id: str, number: int) -> Any:
    """The same document of another job."""
    if isinstance(value, dict):
        return {key: _copy(each, old_id, number) for key, each in value.items()}
    if isinstance(value, list):
        return [_copy(each, old_id, number) for each in value]
    return value.replace(old_id, str(UUID(int=number, version=4))) if isinstance(value, str) else value
