"""One gateway process, many attempts at a slow provider: memory, CPU, polls, how late an end is seen."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient

from bench.contestants.contestant import Place
from bench.inherited import DEAD, command_of, leave_behind
from bench.process_times import CpuClock, memory_bytes
from bench.results import InFlight, Percentiles
from bench.servers import reset_provider, shared_servers
from bench.sizes import Sizes
from shared.ids import uuid7

log = logging.getLogger("bench")

PROVIDERS: Final = ("modal", "comfyui", "fal")
FEW: Final = 1_000
"""Up to so many at every provider, as commands. Beyond it only at Modal, which is only polled and so
the hardest of the three, and as what a dead process left behind: the run has to end."""
COMMANDS_PER_SECOND: Final = 40.0
INHERITED_PER_SECOND: Final = 150.0
"""At least so many; nothing ends before all are there."""
RESTART_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 5.0
AT_PROVIDER: Final = {"state": "submitted", "owner": {"$ne": DEAD}}
OPEN: Final = ("accepted", "submitting", "submitted", "unknown")


@dataclass(frozen=True)
class Watched:
    """What was seen while all were in flight."""

    attempts: int
    bytes: int
    cpu_percent: float
    polls_per_s: float


async def in_flight(folder: Path, sizes: Sizes) -> tuple[InFlight, ...]:
    """Each provider with few, one with many."""
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
    environment = {f"{provider.upper()}_SLOTS": str(2 * count), "BENCH_POLLS": str(polls)}
    works = min(sizes.in_flight_patience, _arriving(count)) + SETTLE_SECONDS + 2 * sizes.watched
    async with shared_servers(
        folder, simulators=PROVIDERS, environment=environment, launcher=("bench.counted",)
    ) as place:
        await reset_provider(place, provider, latency_seconds=works)
        name = await place.stack.start_service(f"gateways.{provider}")
        before, end = memory_bytes(_pid(place, name)), time.monotonic() + works
        await _bring(place, name, provider, count)
        reached = await _wait(place, count, end - 2 * sizes.watched)
        watched = await _watch(_pid(place, name), polls, reached, before, sizes.watched)
        await _wait_for_ends(place, works + sizes.in_flight_patience)
        delays = await _delays(place, provider, works)
        await place.stack.stop_service(name)
    log.info("%s, %d in flight: %.1f kB each", provider, reached, watched.bytes / 1024 / max(1, reached))
    return InFlight(
        provider=provider,
        asked_for=count,
        attempts=watched.attempts,
        kilobytes_each=watched.bytes / 1024 / max(1, watched.attempts),
        cpu_percent=watched.cpu_percent,
        polls_per_s=watched.polls_per_s,
        delay=Percentiles.of(delays),
    )


def _arriving(count: int) -> float:
    """Seconds that it may take until all are at the provider."""
    return 2 + count / COMMANDS_PER_SECOND if count <= FEW else RESTART_SECONDS + count / INHERITED_PER_SECOND


async def _bring(place: Place, name: str, provider: str, count: int) -> None:
    if count <= FEW:
        await _ask(place, provider, count)
        return
    await place.stack.stop_service(name)
    await leave_behind(place, count)
    await place.stack.start_service(name)


def _pid(place: Place, name: str) -> int:
    pid = place.stack.processes[name].pid
    assert pid is not None, f"{name} is ready"
    return pid


async def _ask(place: Place, provider: str, count: int) -> None:
    """Commands, as the dispatcher gives them."""
    bootstrap = place.environment["KAFKA_BOOTSTRAP"]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False) as producer:
        for _ in range(count):
            job_id = uuid7()
            command = command_of(job_id, provider)
            topic = f"render.requested.{provider}.v1"
            await producer.send(topic, json.dumps(command).encode(), key=command["render_id"].encode())


async def _wait(place: Place, count: int, end: float) -> int:
    """Until all are at the provider, or time is up; how many are."""
    while (reached := await _count(place, AT_PROVIDER)) < count and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return reached


async def _watch(pid: int, polls: Path, attempts: int, before: int, seconds: float) -> Watched:
    """For some seconds in which nothing ends."""
    await asyncio.sleep(1.0)
    clock, start, first = CpuClock({"gateway": pid}), time.perf_counter(), _polls(polls)
    await asyncio.sleep(seconds)
    seconds = time.perf_counter() - start
    return Watched(
        attempts=attempts,
        bytes=memory_bytes(pid) - before,
        cpu_percent=100 * clock.seconds()["gateway"] / seconds,
        polls_per_s=(_polls(polls) - first) / seconds,
    )


def _polls(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def _wait_for_ends(place: Place, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await _count(place, {"state": {"$in": list(OPEN)}}):
            await asyncio.sleep(0.5)


async def _count(place: Place, query: dict[str, Any]) -> int:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(place.environment["MONGO_URL"])
    try:
        return await client[place.environment["MONGO_DATABASE"]]["attempts"].count_documents(query)
    finally:
        await client.close()


async def _delays(place: Place, provider: str, works: float) -> list[float]:
    """Seconds from each end at the provider, which its books tell, to the end in the ledger."""
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        books = (await http.get(f"{place.stack.simulator_url(provider)}/_sim/submissions")).json()
    ends = {each["id"]: datetime.fromisoformat(each["at"]) + timedelta(seconds=works) for each in books}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(place.environment["MONGO_URL"], tz_aware=True)
    try:
        attempts = client[place.environment["MONGO_DATABASE"]]["attempts"]
        found = await attempts.find({"state": "succeeded"}, {"external_id": 1, "finished_at": 1}).to_list(
            None
        )
    finally:
        await client.close()
    return [
        (each["finished_at"] - ends[each["external_id"]]).total_seconds()
        for each in found
        if each["external_id"] in ends
    ]
