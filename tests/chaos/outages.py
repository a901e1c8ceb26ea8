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
    before_mb: dict[str, int] = field(default_factory=dict)
    """The resident memory of each service at its largest before the first outage, by process."""
    most_mb: dict[str, int] = field(default_factory=dict)
    """The same over the whole time."""
    failures: list[str] = field(default_factory=list)
    now: str = "no outage"
    kills: int = 0

    @property
    def spared(self) -> list[str]:
        """Servers that were not away."""
        return [name for name in SERVERS if not self.done[f"away {name}"]]

    async def run(self) -> None:
        """Until each was away; returns by itself."""
        looking = asyncio.create_task(self._look())
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            self.before_mb = dict(self.most_mb)
            for name in SERVERS:
                await self._away(name)
                await asyncio.sleep(BEFORE_SECONDS)
        except Exception as error:
            self.failures.append(repr(error))
            log.exception("the outages ended early")
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _away(self, server: str) -> None:
        names = [each for each in self.stack.proxies if each.startswith(server)]
        log.info("%s: away for %.0f s", ", ".join(names), self.seconds)
        proxies = [self.stack.proxies[name] for name in names]
        self.now = server
        try:
            for proxy in proxies:
                proxy.close()
            await asyncio.sleep(self.seconds)
        finally:
            for proxy in proxies:
                proxy.open()
            self.now = "no outage"
        self.done[f"away {server}"] += 1

    async def _look(self) -> None:
        while True:
            for name, process in self.stack.processes.items():
                if process.kind == "service" and process.pid is not None:
                    with suppress(OSError):  # it ended just now
                        self.most_mb[name] = max(self.most_mb.get(name, 0), _resident_mb(process.pid))
            await asyncio.sleep(LOOK_SECONDS)


def lasts(seconds: float) -> float:
    """How long all outages take together, with the time before and after them."""
    return BEFORE_SECONDS + len(SERVERS) * (seconds + BEFORE_SECONDS)


def _resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * getpagesize() // 2**20
