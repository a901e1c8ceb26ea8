"""Each server away for a while, one after the other, and what it did to the memory of the services."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from resource import getpagesize

from deploy.local.stack import Stack

log = logging.getLogger("chaos")

SERVERS = ("kafka", "mongo", "s3")
BEFORE_SECONDS = 10.0
"""Of load before the first, and of rest after each."""
LOOK_SECONDS = 1.0


@dataclass
class Outages:
    """Cut off, for `seconds` each: neither old nor new connections work, whatever was sent is lost."""

    stack: Stack
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    most_mb: dict[str, int] = field(default_factory=dict)
    """The resident memory of each service at its largest, by process."""
    kills: int = 0

    async def run(self) -> None:
        """Until each was away; returns by itself."""
        looking = asyncio.create_task(self._look())
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            for name in SERVERS:
                await self._away([each for each in self.stack.proxies if each.startswith(name)])
                await asyncio.sleep(BEFORE_SECONDS)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _away(self, names: list[str]) -> None:
        log.info("%s: away for %.0f s", ", ".join(names), self.seconds)
        proxies = [self.stack.proxies[name] for name in names]
        try:
            for proxy in proxies:
                proxy.close()
            await asyncio.sleep(self.seconds)
        finally:
            for proxy in proxies:
                proxy.open()
        self.done.update(f"away {name}" for name in names)

    async def _look(self) -> None:
        while True:
            for name, process in self.stack.processes.items():
                if process.kind == "service" and process.pid is not None:
                    with suppress(OSError):  # it ended just now
                        self.most_mb[name] = max(self.most_mb.get(name, 0), _resident_mb(process.pid))
            await asyncio.sleep(LOOK_SECONDS)


def _resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * getpagesize() // 2**20
