"""Due deliveries → HTTP: in order per job, many jobs at once, no host with more than its share.

Each turn reads a page of due deliveries, plans, starts what has a slot, and writes what was postponed or
given up. Postponed deliveries leave the page to those that have been due longest.
"""

import asyncio

from services.notifier.endpoint_health import EndpointHealth
from services.notifier.endpoints import Endpoint
from services.notifier.job_sender import JobSender, Post, report
from services.notifier.planning import Busy, Ready, endpoint_of, plan
from services.notifier.ports import Deliveries, Endpoints
from shared.clock import Clock
from shared.loops import every

TICK_SECONDS = 1.0
PAGE_PER_SLOT = 8
STOP_SECONDS = 4.0
"""Time for posts in flight when the process ends."""


class WebhookDispatcher:
    """Delivers due webhooks. Several instances may do so at once."""

    def __init__(
        self, deliveries: Deliveries, endpoints: Endpoints, post: Post, now: Clock, *, concurrency: int
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._now = now
        self._sender = JobSender(deliveries, EndpointHealth(endpoints, now), post, now)
        self._busy = Busy(concurrency)
        self._ready: list[Ready] = []
        self._tasks: set[asyncio.Task[Endpoint]] = set()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Start a turn at once, because there are new deliveries or free slots."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled, through outages of the database."""
        try:
            await every(TICK_SECONDS, self.dispatch_due, name="webhooks", wake=self._woken)
        finally:
            await self._stop()

    async def dispatch_due(self) -> None:
        """Run one turn. The posts that it starts go on in tasks of their own."""
        if self._busy.full:
            return
        page = self._busy.concurrency * PAGE_PER_SLOT
        due = await self._deliveries.due(self._now(), page)
        heads = await self._deliveries.heads({delivery.job_id for delivery in due})
        endpoints = await self._endpoints.of({endpoint_of(head) for head in heads.values()})
        planned = plan(due, heads, endpoints, self._busy, self._now())
        self._busy.next_slots = planned.next_slots
        self._ready = planned.send
        self._start_ready()
        for delivery in planned.give_up:
            await self._deliveries.save(delivery)
            report(delivery)
        if planned.postpone:
            await self._deliveries.postpone(planned.postpone)
        if planned.give_up or (planned.postpone and len(due) == page):
            self.wake()

    async def idle(self) -> None:
        """Wait for the posts in flight, and for those that follow them without another turn."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _start_ready(self) -> bool:
        """Start the deliveries that have a slot; return whether there were any."""
        waiting = []
        for ready in self._ready:
            if self._busy.has_room(ready):
                self._start(ready)
            else:
                waiting.append(ready)
        started = len(waiting) < len(self._ready)
        self._ready = waiting
        return started

    def _start(self, ready: Ready) -> None:
        self._busy.start(ready.delivery)
        task = asyncio.create_task(self._sender.send(*ready))
        self._tasks.add(task)

        def finished(task: asyncio.Task[Endpoint]) -> None:
            self._tasks.discard(task)
            self._busy.finish(ready.delivery)
            if not task.cancelled():
                self._drop_changed(task.result())
            if not self._start_ready():
                self.wake()

        task.add_done_callback(finished)

    def _drop_changed(self, endpoint: Endpoint) -> None:
        """Leave deliveries to an endpoint that has changed its state to the next turn."""
        self._ready = [
            each
            for each in self._ready
            if each.endpoint.id != endpoint.id or each.endpoint.state == endpoint.state
        ]

    async def _stop(self) -> None:
        """Let posts in flight end; cancelled ones are due at once, for another instance."""
        self._sender.stop()
        self._ready = []
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
