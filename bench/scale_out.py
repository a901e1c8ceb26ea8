"""Throughput with more processes of each service, on a provider that takes 200 ms."""

import logging
from pathlib import Path
from typing import Final

from bench.contestants.contestant import SharedServers
from bench.contestants.ours import Ours
from bench.load import Load
from bench.process_times import CpuClock
from bench.results import ScaleOut
from bench.rounds import running
from bench.servers import shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")

PROVIDER_SECONDS: Final = 0.2


async def scale_out(folder: Path, sizes: Sizes) -> tuple[ScaleOut, ...]:
    """Measure jobs per second against processes; there are as many partitions as processes at the most."""
    found: list[ScaleOut] = []
    for each in sizes.processes_each:
        partitions = {"KAFKA_PARTITIONS": str(max(sizes.processes_each))}
        async with shared_servers(folder / f"scale_out-{each}", environment=partitions) as shared:
            found.append(await _with(each, shared, sizes))
        log.info("%d of each: %.1f images/s", each, found[-1].images_per_s)
    return tuple(found)


async def _with(each: int, shared: SharedServers, sizes: Sizes) -> ScaleOut:
    ours = Ours(shared, processes_each=each)
    open_jobs = min(ours.open_jobs, sizes.max_open_jobs)
    async with (
        running(shared, ours, latency_seconds=PROVIDER_SECONDS),
        Load(ours, f"scale-{each}").listening() as load,
    ):
        await load.closed(sizes.warm_up, open_jobs)
        clock = CpuClock(ours.processes)
        measured = await load.closed(sizes.measured, open_jobs)
        cpu = sum(clock.seconds().values())
    return ScaleOut(
        processes_each=each,
        images_per_s=measured.per_second,
        own_cpu_ms=1000 * cpu / max(1, measured.jobs),
    )
