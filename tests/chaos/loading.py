"""Says all orders, each in a task of its own: one that is not answered holds up no other."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.asking import Upstream
from tests.chaos.load import Order
from tests.chaos.watching import Watcher

log = logging.getLogger("chaos")


@dataclass
class Loading:
    """`asked` are the jobs whose request was acknowledged.

    Orders come no faster than one in `every` seconds, so that the load lasts while things break; and
    no more than `most_open` jobs are under way at once. None: they come whatever becomes of them.
    """

    upstream: Upstream
    watcher: Watcher
    every: float
    most_open: int | None = None
    asked: list[str] = field(default_factory=list)

    async def run(self, wanted: Sequence[Order], seconds: float) -> None:
        """Until all are acknowledged, or the time is up."""
        asking: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                for order in wanted:
                    asking.append(asyncio.create_task(self._ask(order)))
                    await asyncio.sleep(self.every)
                    if self.most_open is not None:
                        await self.watcher.until_open(len(asking), self.most_open)
                await asyncio.wait(asking)
        except TimeoutError:
            log.info("the time is up: %d asked for", len(self.asked))
        finally:
            for task in asking:
                task.cancel()
            for failure in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(failure, Exception):
                    log.warning("an order was given up: %r", failure)

    async def _ask(self, order: Order) -> None:
        await self.upstream.ask(order)
        self.asked.append(order.job_id)
        if len(self.asked) % 50 == 0:
            log.info("%d asked for, %d ended", len(self.asked), len(self.watcher.ended))
        if order.cancelled_after is not None:
            await asyncio.sleep(order.cancelled_after)
            await self.upstream.cancel(order)
