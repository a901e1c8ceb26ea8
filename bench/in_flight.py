"""One gateway process, many attempts at a slow provider: memory, CPU, polls, how late an end is seen."""

import asyncio
import json
import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaProducer

from bench.contestants.contestant import Place, database_of
from bench.inherited import DEAD, command_of, leave_behind
from bench.process_times import CpuClock, memory_bytes
from bench.results import InFlight, Percentiles
from bench.servers import reset_provider, shared_servers
from bench.sizes import Sizes
from shared.ids import uuid7

Document = dict[str, Any]

log = logging.getLogger("bench")

PROVIDERS: Final = ("modal", "comfyui", "fal")
FEW: Final = 1_000
"""Up to so many at every provider, as commands. Beyond it only at Modal, which says nothing by itself,
and as what a dead process left behind: the run has to end."""
LONG: Final = 3600.0
SOON: Final = 4.0
"""How long the provider works: on those that are watched, and on the few whose ends are timed."""
TIMED: Final = 100
TIMED_EVERY: Final = 0.1
"""Seconds between them, so that their ends meet the polls and looks at the list at any moment."""
LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Watched:
    """What was seen while all were in flight."""

    kilobytes_each: float
    cpu_percent: float
    polls_per_s: float


async def in_flight(folder: Path, sizes: Sizes) -> tuple[InFlight, ...]:
    """Each provider with few, one with many. Raises TimeoutError when one does not come about in time."""
    return tuple(
        [
            await _one(folder / f"in_flight-{provider}-{count}", provider, count, sizes)
            for count in sizes.in_flight
            for provider in PROVIDERS
            if provider == "modal" or count <= FEW
        ]
    )


async def _one(folder: Path, provider: str, count: int, sizes: Sizes) -> InFlight:
    """On servers of its own, so that nothing is left of the one before."""
    polls = folder / "polls"
    environment = {f"{provider.upper()}_SLOTS": str(2 * count + TIMED), "BENCH_POLLS": str(polls)}
    async with shared_servers(
        folder, simulators=PROVIDERS, environment=environment, launcher=("bench.counted",)
    ) as place:
        await reset_provider(place, provider, latency_seconds=LONG)
        name = await place.stack.start_service(f"gateways.{provider}")
        before = memory_bytes(_pid(place, name))
        async with asyncio.timeout(sizes.in_flight_patience):
            await _bring(place, name, provider, count)
            await _wait_for(place, {"state": "submitted"}, count)
        await asyncio.sleep(sizes.grown)
        watched = await _watch(_pid(place, name), polls, count, before, sizes.watched)
        async with asyncio.timeout(sizes.in_flight_patience):
            delays = await _delays(place, provider, count)
        await place.stack.stop_service(name)
    log.info("%s, %d in flight: %s", provider, count, watched)
    delay = Percentiles.of(delays)
    return InFlight(provider=provider, attempts=count, delay=delay, **asdict(watched))


async def _bring(place: Place, name: str, provider: str, count: int) -> None:
    if count <= FEW:
        await _ask(place, provider, count)
        return
    await place.stack.stop_service(name)
    await leave_behind(place, count)
    await place.stack.start_service(name)
    async with database_of(place) as database:
        while await database["gateway_leases"].find_one({"_id": DEAD}):
            await asyncio.sleep(LOOK_SECONDS)


def _pid(place: Place, name: str) -> int:
    pid = place.stack.processes[name].pid
    assert pid is not None, f"{name} is ready"
    return pid


async def _ask(place: Place, provider: str, count: int, every: float = 0.0) -> list[str]:
    """Commands, as the dispatcher gives them, so many seconds apart; returns the ids of their attempts."""
    commands = [command_of(uuid7(), provider) for _ in range(count)]
    bootstrap = place.environment["KAFKA_BOOTSTRAP"]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for command in commands:
            topic = f"render.requested.{provider}.v1"
            await producer.send(topic, json.dumps(command).encode(), key=command["render_id"].encode())
            await asyncio.sleep(every)
    return [command["attempt_id"] for command in commands]


async def _wait_for(place: Place, query: Document, count: int) -> None:
    """Until the ledger has so many."""
    async with database_of(place) as database:
        while await database["attempts"].count_documents(query) < count:
            await asyncio.sleep(LOOK_SECONDS)


async def _watch(pid: int, polls: Path, attempts: int, before: int, seconds: float) -> Watched:
    """For some seconds in which nothing ends."""
    clock, start, first = CpuClock({"gateway": pid}), time.perf_counter(), _polls(polls)
    await asyncio.sleep(seconds)
    seconds = time.perf_counter() - start
    return Watched(
        kilobytes_each=(memory_bytes(pid) - before) / 1024 / attempts,
        cpu_percent=100 * clock.seconds()["gateway"] / seconds,
        polls_per_s=(_polls(polls) - first) / seconds,
    )


def _polls(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def _delays(place: Place, provider: str, count: int) -> list[float]:
    """Some more that end soon, while the others go on: seconds from each end there to that in the ledger."""
    url = f"{place.stack.simulator_url(provider)}/_sim"
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        (await http.post(f"{url}/behaviour", json={"latency_seconds": SOON})).raise_for_status()
        timed = await _ask(place, provider, TIMED, TIMED_EVERY)
        ended = {"_id": {"$in": timed}, "state": "succeeded"}
        await _wait_for(place, ended, TIMED)
        submissions = (await http.get(f"{url}/submissions", params={"since": count})).json()
    ends = {each["id"]: datetime.fromisoformat(each["at"]) + timedelta(seconds=SOON) for each in submissions}
    async with database_of(place) as database:
        found = await database["attempts"].find(ended).to_list(None)
    return [(each["finished_at"] - ends[each["external_id"]]).total_seconds() for each in found]
