"""Latency of one image: alone, and at a share of each contestant's capacity."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.contestants.all import contestant_factory
from bench.load import Load
from bench.process_times import CpuClock
from bench.results import IdleCpu, Latency, Percentiles
from bench.rounds import running
from bench.servers import shared_servers
from bench.sizes import Sizes

log = logging.getLogger("bench")

CONTESTANTS: Final = ("ours", "floor", "celery_chain")
SHARES: Final = (0.2, 0.5, 0.8)
ALONE: Final = "one at a time"
IDLE_SECONDS: Final = 2.0

Times = dict[tuple[str, str], list[float]]


async def latency(
    folder: Path, sizes: Sizes, names: Sequence[str], capacity: Mapping[str, float]
) -> tuple[tuple[Latency, ...], tuple[IdleCpu, ...]]:
    """Measure each contestant under each load, over all rounds, and its CPU usage while idle."""
    times: Times = {}
    idle: dict[str, list[float]] = {}
    measured_names = [name for name in CONTESTANTS if name in names]
    async with shared_servers(folder / "latency") as shared:
        for number in range(sizes.latency_rounds):
            for name in measured_names:
                contestant = contestant_factory(name)(shared)
                async with (
                    running(shared, contestant),
                    Load(contestant, f"{name[:6]}-{number}").listening() as load,
                ):
                    await load.closed(sizes.warm_up, 8)
                    clock = CpuClock(contestant.processes)
                    await asyncio.sleep(IDLE_SECONDS)
                    idle.setdefault(name, []).append(100 * sum(clock.seconds().values()) / IDLE_SECONDS)
                    await _loads(load, name, sizes, capacity.get(name), times)
                log.info("latency round %d, %s", number + 1, name)
    rates = {(name, _label(share)): share * capacity[name] for name in capacity for share in SHARES}
    found = tuple(
        Latency(
            contestant=name,
            load=label,
            per_second=rates.get((name, label)),
            times=Percentiles.of(values),
        )
        for (name, label), values in times.items()
    )
    return found, tuple(
        IdleCpu(contestant=name, percent_of_a_core=sum(each) / len(each)) for name, each in idle.items()
    )


async def _loads(load: Load, name: str, sizes: Sizes, capacity: float | None, times: Times) -> None:
    alone = await load.one_at_a_time(sizes.one_at_a_time)
    times.setdefault((name, ALONE), []).extend(alone.latencies)
    for share in SHARES if capacity else ():
        measured = await load.steady(share * (capacity or 0.0), sizes.steady)
        times.setdefault((name, _label(share)), []).extend(measured.latencies)


def _label(share: float) -> str:
    return f"{share:.0%} of its capacity"
