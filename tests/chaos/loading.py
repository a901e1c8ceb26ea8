"""Submits all orders, each in its own task: an unanswered one does not delay the others."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.load import Order
from tests.chaos.upstream import Upstream
from tests.chaos.watching import Watcher

log = logging.getLogger("chaos")


@dataclass
class Loading:
    """Submission of the load; `asked` are the jobs whose request was acknowledged.

    Orders are submitted at most every `every` seconds, so that the load lasts as long as the faults,
    while at most `most_open` jobs are open. None: the number of open jobs has no limit.
    """

    upstream: Upstream
    watcher: Watcher
    every: float
    most_open: int | None = None
    asked: list[str] = field(default_factory=list)

    async def run(self, wanted: Sequence[Order], seconds: float) -> None:
        """Submit all orders, until they are acknowledged or the time is up."""
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
            log.info("the time is up: %d submitted", len(self.asked))
        finally:
            for task in asking:
                task.cancel()
            for failure in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(failure, Exception):
                    log.warning("an order was not submitted: %r", failure)

    async def _ask(self, order: Order) -> None:
        await self.upstream.ask(order)
        self.asked.append(order.job_id)
        if len(self.asked) % 50 == 0:
            log.info("%d submitted, %d ended", len(self.asked), len(self.watcher.ended))
        if order.cancelled_after is not None:
            await asyncio.sleep(order.cancelled_after)
            await self.upstream.cancel(order)
