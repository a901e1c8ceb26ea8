"""Rounds of the contestants in turn, A B A B: images per second, CPU per image, and a check of their work."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.contestants.all import contestant_factory
from bench.contestants.contestant import Contestant, SharedServers, check_work, count_work
from bench.load import Load, Measured
from bench.process_times import CpuClock
from bench.results import Round
from bench.servers import reset_provider, shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")


async def rounds(folder: Path, sizes: Sizes, names: Sequence[str]) -> tuple[Round, ...]:
    """Run all rounds; in each, every contestant has its turn on the same servers."""
    taken: list[Round] = []
    async with shared_servers(folder / "rounds") as shared:
        for number in range(1, sizes.rounds + 1):
            for name in names:
                taken.append(await turn(shared, contestant_factory(name)(shared), number, sizes))
                log.info("round %d, %s: %.1f images/s", number, name, taken[-1].images_per_s)
    return tuple(taken)


async def turn(shared: SharedServers, contestant: Contestant, number: int, sizes: Sizes) -> Round:
    """Start a contestant, warm it up, measure it, check its work and stop it. Raise IncompleteWork if some is
    missing."""
    open_jobs = min(contestant.open_jobs, sizes.max_open_jobs)
    tenant = f"{contestant.name.replace('_', '-')}-{number}"
    async with running(shared, contestant):
        before = await count_work(shared, contestant.database, tenant)
        async with Load(contestant, tenant).listening() as load:
            warm = await load.closed(sizes.warm_up, open_jobs)
            groups = {**contestant.processes, **shared.servers}
            clock = CpuClock(groups)
            measured = await load.closed(sizes.measured, open_jobs)
            cpu = clock.seconds()
        done = await count_work(shared, contestant.database, tenant) - before
        check_work(
            contestant.name, done, warm.jobs + measured.jobs, warm.notifications + measured.notifications
        )
        own = tuple(contestant.processes)
    return _round(contestant.name, number, measured, cpu, own)


@asynccontextmanager
async def running(shared: SharedServers, contestant: Contestant, **behaviour: Any) -> AsyncIterator[None]:
    """Run a contestant alone on the machine, with a reset provider."""
    await reset_provider(shared, **behaviour)
    try:
        await contestant.start()
        yield
    finally:
        await contestant.stop()


def _round(name: str, number: int, measured: Measured, cpu: dict[str, float], own: tuple[str, ...]) -> Round:
    return Round(
        contestant=name,
        number=number,
        images=measured.jobs,
        seconds=measured.seconds,
        repeated=measured.repeated,
        cpu_ms={group: 1000 * seconds / max(1, measured.jobs) for group, seconds in cpu.items()},
        own_groups=own,
    )
