"""Cost of a job beside many finished ones, which are inserted in bulk."""

import logging
import statistics
from pathlib import Path
from typing import Final
from uuid import UUID

import bson
from bson.raw_bson import RawBSONDocument

from bench.contestants.contestant import SharedServers, database_of
from bench.contestants.ours import Ours
from bench.results import Growth, Round
from bench.rounds import turn
from bench.servers import shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")

PAGE: Final = 500


async def growth(folder: Path, sizes: Sizes) -> tuple[Growth, ...]:
    """Measure with each number of finished jobs in turn; earlier ones stay."""
    found: list[Growth] = []
    stored = 0
    async with shared_servers(folder / "growth") as shared:
        await turn(shared, Ours(shared), 0, sizes)  # creates finished jobs to copy
        for finished_jobs in sizes.finished_jobs:
            await _insert(shared, stored, finished_jobs)
            stored = finished_jobs
            runs = [
                await turn(shared, Ours(shared), finished_jobs + n, sizes) for n in range(sizes.growth_rounds)
            ]
            found.append(_growth(finished_jobs, runs))
            log.info("%d finished jobs: %.1f ms of CPU per image", finished_jobs, found[-1].cpu_ms)
    return tuple(found)


def _growth(finished: int, runs: list[Round]) -> Growth:
    return Growth(
        finished_jobs=finished,
        images_per_s=statistics.median(run.images_per_s for run in runs),
        cpu_ms=statistics.median(run.all_cpu_ms for run in runs),
    )


async def _insert(shared: SharedServers, first: int, end: int) -> None:
    """Insert copies of one finished job, each under its own id, into every collection."""
    async with database_of(shared) as database:
        job = await database["jobs"].find_one({"status": "completed"})
        assert job is not None, "a round has left finished jobs"
        keys = {"jobs": job["_id"], "attempts": f"{job['_id']}/0/1", "assets": f"{job['_id']}/0"}
        for name, key in keys.items():
            known = await database[name].find_one({"_id": key})
            assert known is not None, f"{key} is in {name}"
            written = bson.encode(known)
            for start in range(first, end, PAGE):
                copies = [_copy(written, job["_id"], n) for n in range(start, min(end, start + PAGE))]
                await database[name].insert_many(copies, ordered=False)


def _copy(written: bytes, old_id: str, number: int) -> RawBSONDocument:
    """Return the document for another job. Its id has the same length, so no other byte changes."""
    return RawBSONDocument(written.replace(old_id.encode(), str(UUID(int=number, version=4)).encode()))
