"""One gateway process with many attempts at a slow provider: memory, CPU, polls and delay of outcomes."""

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

from bench.contestants.contestant import SharedServers, database_of
from bench.orphaned_attempts import EXPIRED_OWNER, command_of, create_orphaned_attempts
from bench.process_times import CpuClock, memory_bytes
from bench.results import InFlight, Percentiles
from bench.servers import reset_provider, shared_servers
from bench.sizes import Sizes
from shared.ids import uuid7

Document = dict[str, Any]

log = logging.getLogger("bench")

PROVIDERS: Final = ("modal", "comfyui", "fal")
MAX_COMMANDS: Final = 1_000
"""Up to this number attempts are commands, at every provider. More are measured only at Modal, which pushes
no
results, and as attempts of an expired owner, to limit the run time.
"""
LONG_SECONDS: Final = 3600.0
SHORT_SECONDS: Final = 4.0
"""Duration of a job at the provider: for observed attempts, and for the few with timed outcomes."""
TIMED: Final = 100
TIMED_EVERY: Final = 0.1
"""Seconds between timed attempts, so that their ends meet polls and listings at any moment."""
CHECK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class GatewayUsage:
    """Resource usage while all attempts were in flight."""

    kilobytes_each: float
    cpu_percent: float
    polls_per_s: float


async def in_flight(folder: Path, sizes: Sizes) -> tuple[InFlight, ...]:
    """Measure each provider with few attempts, one with many. Raise TimeoutError if one takes too long."""
    return tuple(
        [
            await _one(folder / f"in_flight-{provider}-{count}", provider, count, sizes)
            for count in sizes.in_flight
            for provider in PROVIDERS
            if provider == "modal" or count <= MAX_COMMANDS
        ]
    )


async def _one(folder: Path, provider: str, count: int, sizes: Sizes) -> InFlight:
    """Measure one provider on fresh servers."""
    polls = folder / "polls"
    environment = {f"{provider.upper()}_SLOTS": str(2 * count + TIMED), "BENCH_POLLS": str(polls)}
    async with shared_servers(
        folder, simulators=PROVIDERS, environment=environment, launcher=("bench.poll_counter",)
    ) as shared:
        await reset_provider(shared, provider, latency_seconds=LONG_SECONDS)
        name = await shared.stack.start_service(f"gateways.{provider}")
        before = memory_bytes(_pid(shared, name))
        async with asyncio.timeout(sizes.in_flight_patience):
            await _start_attempts(shared, name, provider, count)
            await _wait_for(shared, {"state": "submitted"}, count)
        await asyncio.sleep(sizes.grown)
        observed = await _observe(_pid(shared, name), polls, count, before, sizes.observed)
        async with asyncio.timeout(sizes.in_flight_patience):
            delays = await _delays(shared, provider, count)
        await shared.stack.stop_service(name)
    log.info("%s, %d in flight: %s", provider, count, observed)
    delay = Percentiles.of(delays)
    return InFlight(provider=provider, attempts=count, delay=delay, **asdict(observed))


async def _start_attempts(shared: SharedServers, name: str, provider: str, count: int) -> None:
    if count <= MAX_COMMANDS:
        await _publish_commands(shared, provider, count)
        return
    await shared.stack.stop_service(name)
    await create_orphaned_attempts(shared, count)
    await shared.stack.start_service(name)
    async with database_of(shared) as database:
        while await database["gateway_leases"].find_one({"_id": EXPIRED_OWNER}):
            await asyncio.sleep(CHECK_SECONDS)


def _pid(shared: SharedServers, name: str) -> int:
    pid = shared.stack.processes[name].pid
    assert pid is not None, f"{name} is ready"
    return pid


async def _publish_commands(
    shared: SharedServers, provider: str, count: int, every: float = 0.0
) -> list[str]:
    """Publish commands as the dispatcher does, this many seconds apart; return the ids of their attempts."""
    commands = [command_of(uuid7(), provider) for _ in range(count)]
    bootstrap = shared.environment["KAFKA_BOOTSTRAP"]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for command in commands:
            topic = f"render.requested.{provider}.v1"
            await producer.send(topic, json.dumps(command).encode(), key=command["render_id"].encode())
            await asyncio.sleep(every)
    return [command["attempt_id"] for command in commands]


async def _wait_for(shared: SharedServers, query: Document, count: int) -> None:
    """Wait until the ledger has this many matching attempts."""
    async with database_of(shared) as database:
        while await database["attempts"].count_documents(query) < count:
            await asyncio.sleep(CHECK_SECONDS)


async def _observe(pid: int, polls: Path, attempts: int, before: int, seconds: float) -> GatewayUsage:
    """Measure for some seconds in which no attempt ends."""
    clock, start, first = CpuClock({"gateway": pid}), time.perf_counter(), _polls(polls)
    await asyncio.sleep(seconds)
    seconds = time.perf_counter() - start
    return GatewayUsage(
        kilobytes_each=(memory_bytes(pid) - before) / 1024 / attempts,
        cpu_percent=100 * clock.seconds()["gateway"] / seconds,
        polls_per_s=(_polls(polls) - first) / seconds,
    )


def _polls(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def _delays(shared: SharedServers, provider: str, count: int) -> list[float]:
    """Add attempts that end soon; return the seconds from each end at the provider to that in the ledger."""
    url = f"{shared.stack.simulator_url(provider)}/_sim"
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        (await http.post(f"{url}/behaviour", json={"latency_seconds": SHORT_SECONDS})).raise_for_status()
        timed = await _publish_commands(shared, provider, TIMED, TIMED_EVERY)
        ended = {"_id": {"$in": timed}, "state": "succeeded"}
        await _wait_for(shared, ended, TIMED)
        submissions = (await http.get(f"{url}/submissions", params={"since": count})).json()
    ends = {
        each["id"]: datetime.fromisoformat(each["at"]) + timedelta(seconds=SHORT_SECONDS)
        for each in submissions
    }
    async with database_of(shared) as database:
        found = await database["attempts"].find(ended).to_list(None)
    return [(each["finished_at"] - ends[each["external_id"]]).total_seconds() for each in found]
