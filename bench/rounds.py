"""The contestants take turns, A B A B: images per second and CPU per image, and what each left behind."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.contestants.all import contestant
from bench.contestants.contestant import Contestant, Place, check_work, count_work
from bench.load import Load, Measured
from bench.process_times import CpuClock
from bench.results import Round
from bench.servers import reset_provider, shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")


async def rounds(folder: Path, sizes: Sizes, names: Sequence[str]) -> tuple[Round, ...]:
    """So many rounds, in each of which every contestant has its turn on the same servers."""
    taken: list[Round] = []
    async with shared_servers(folder / "rounds") as place:
        for number in range(1, sizes.rounds + 1):
            for name in names:
                taken.append(await turn(place, contestant(name)(place), number, sizes))
                log.info("round %d, %s: %.1f images/s", number, name, taken[-1].images_per_s)
    return tuple(taken)


async def turn(place: Place, player: Contestant, number: int, sizes: Sizes) -> Round:
    """Start, warm up, measure, check, stop. Raises LessWork."""
    open_jobs = min(player.open_jobs, sizes.most_open)
    tenant = f"{player.name.replace('_', '-')}-{number}"
    async with running(place, player):
        before = await count_work(place, player.database, tenant)
        async with Load(player, tenant).listening() as load:
            warm = await load.closed(sizes.warm_up, open_jobs)
            groups = {**player.processes, **place.servers}
            clock = CpuClock(groups)
            measured = await load.closed(sizes.measured, open_jobs)
            cpu = clock.seconds()
        done = await count_work(place, player.database, tenant) - before
        check_work(player.name, done, warm.jobs + measured.jobs, warm.notifications + measured.notifications)
        own = tuple(player.processes)
    return _round(player.name, number, measured, cpu, own)


@asynccontextmanager
async def running(place: Place, player: Contestant, **behaviour: Any) -> AsyncIterator[None]:
    """Alone on the machine, with a provider that has forgotten the one before."""
    await reset_provider(place, **behaviour)
    try:
        await player.start()
        yield
    finally:
        await player.stop()


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
