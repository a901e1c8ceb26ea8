"""Start-up of each service alone: time until ready, memory, and CPU usage while idle."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from bench.process_times import CpuClock, memory_bytes
from bench.results import StartUp
from bench.servers import shared_servers
from deploy.local.services import SERVICES

log = logging.getLogger("bench")

IDLE_SECONDS: Final = 3.0


async def startup(folder: Path) -> tuple[StartUp, ...]:
    """Start all services, one after the other, on running servers."""
    found: list[StartUp] = []
    async with shared_servers(folder / "startup", simulators=("modal", "comfyui", "fal")) as shared:
        for service in SERVICES:
            start = time.perf_counter()
            name = await shared.stack.start_service(service)
            seconds = time.perf_counter() - start
            pid = shared.stack.processes[name].pid
            assert pid is not None, f"{name} is ready"
            clock = CpuClock({name: pid})
            await asyncio.sleep(IDLE_SECONDS)
            found.append(
                StartUp(
                    service=service,
                    seconds=seconds,
                    memory_mb=memory_bytes(pid) / 2**20,
                    idle_cpu_percent=100 * clock.seconds()[name] / IDLE_SECONDS,
                )
            )
            await shared.stack.stop_service(name)
            log.info("%s: ready after %.1f s", service, seconds)
    return tuple(found)
