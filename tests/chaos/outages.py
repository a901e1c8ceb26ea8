"""Outages of one server after the other, and the memory of the services meanwhile."""

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
"""Seconds of load before the first outage, and of rest after each."""
MEASURE_SECONDS = 1.0


@dataclass
class Outages:
    """Outages of `seconds` each: existing connections are cut, new ones refused, data in flight is lost."""

    stack: Stack
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    before_mb: dict[str, int] = field(default_factory=dict)
    """Largest resident memory of each service process before the first outage."""
    most_mb: dict[str, int] = field(default_factory=dict)
    """Largest resident memory over the whole run."""
    failures: list[str] = field(default_factory=list)
    now: str = "no outage"
    kills: int = 0

    @property
    def missed(self) -> list[str]:
        """Return the servers that had no outage."""
        return [name for name in SERVERS if not self.done[f"away {name}"]]

    async def run(self) -> None:
        """Disconnect each server once, then return."""
        measuring = asyncio.create_task(self._measure())
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
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)

    async def _away(self, server: str) -> None:
        names = [each for each in self.stack.proxies if each.startswith(server)]
        log.info("%s: disconnected for %.0f s", ", ".join(names), self.seconds)
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

    async def _measure(self) -> None:
        while True:
            for name, process in self.stack.processes.items():
                if process.kind == "service" and process.pid is not None:
                    with suppress(OSError):  # the process has just ended
                        self.most_mb[name] = max(self.most_mb.get(name, 0), _resident_mb(process.pid))
            await asyncio.sleep(MEASURE_SECONDS)


def lasts(seconds: float) -> float:
    """Return the seconds that all outages take together, with the time before and after them."""
    return BEFORE_SECONDS + len(SERVERS) * (seconds + BEFORE_SECONDS)


def _resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * getpagesize() // 2**20
