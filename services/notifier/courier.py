"""Due deliveries → HTTP: in order per job, many jobs at once, no host with more than its share.

An endpoint that fails again and again rests, and what is meant for it waits without being tried.
What cannot be sent now is put off: whatever is due longest fills the page that is looked at.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import prometheus_client as prometheus
import structlog

from services.notifier.deliveries import Delivery, Outcome, after, given_up, predecessor
from services.notifier.endpoints import Endpoint, after_try, endpoint_id, new_endpoint
from services.notifier.ports import Deliveries, Endpoints
from services.notifier.posting import host_of
from shared.clock import Clock
from shared.loops import every

log = structlog.get_logger()

webhooks_tried = prometheus.Counter(
    "imagegen_webhooks_tried", "Tries of webhooks, by what they left", ["state"]
)
endpoints_moved = prometheus.Counter(
    "imagegen_webhook_endpoints_moved", "Webhook endpoints, by their new state", ["state"]
)

Post = Callable[[Delivery], Awaitable[Outcome]]

TICK_SECONDS = 1.0
LEASE = timedelta(seconds=30)
BEHIND_ANOTHER = timedelta(seconds=30)
"""Delay of a job's later deliveries after its first is due. The courier of the first goes on with them by
itself; this is for the case that it dies in between."""
PAGE_PER_SLOT = 8
LEAVE_SECONDS = 4.0
"""For posts in flight when the process ends."""
WITHOUT_ROOM = timedelta(seconds=1)
"""Delay of a delivery whose host has its share; deliveries to one host come back one after another."""


class Courier:
    """Delivers what is due. Several instances may do so at once: each delivery is leased."""

    def __init__(
        self, deliveries: Deliveries, endpoints: Endpoints, post: Post, now: Clock, *, concurrency: int
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._post = post
        self._now = now
        self._concurrency = concurrency
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        self._turns: dict[str, datetime] = {}
        self._standby: list[tuple[Delivery, Endpoint]] = []
        self._judging = asyncio.Lock()
        self._leaving = False

    def wake(self) -> None:
        """Look at once, because there is something new."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled; a database that is away is waited for."""
        try:
            await every(TICK_SECONDS, self.look, name="webhooks", wake=self._woken)
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Let posts in flight end; those that take too long are for another instance to try, at once."""
        self._leaving = True
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=LEAVE_SECONDS)
        late = list(self._busy.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def look(self) -> None:
        """Start what can start now, and put off what cannot."""
        if len(self._busy) >= self._concurrency:
            return
        now, page = self._now(), self._concurrency * PAGE_PER_SLOT
        due = await self._deliveries.due(now, page)
        heads = await self._deliveries.heads({delivery.job_id for delivery in due})
        known = await self._endpoints.of({endpoint_of(head) for head in heads.values()})
        alive = {
            job_id: head
            for job_id, head in heads.items()
            if not (endpoint := known.get(endpoint_of(head))) or endpoint.state != "disabled"
        }
        later = self._behind_another(due, alive)
        self._standby = []
        for head in heads.values():
            if head.due_at and head.due_at <= now and head.job_id not in self._busy:
                endpoint = known.get(endpoint_of(head)) or new_endpoint(head.tenant, head.url)
                if again := await self._begin(head, endpoint):
                    later.append(head.model_copy(update={"due_at": again}))
        if later:
            await self._deliveries.postpone(later)
            if len(due) == page:
                self.wake()

    async def _begin(self, head: Delivery, endpoint: Endpoint) -> datetime | None:
        """Send it, or return the time to look again: its endpoint rests, or its host has its share."""
        now, host = self._now(), host_of(head.url)
        if endpoint.state == "disabled":
            await self._deliveries.save(given_up(head, f"endpoint disabled: {endpoint.last_error}", now))
            self.wake()
        elif endpoint.rests_until and endpoint.rests_until > now:
            return endpoint.rests_until
        elif len(self._busy) < self._concurrency:
            if self._has_room(head, endpoint):
                self._start(head, endpoint)
            elif endpoint.state == "resting" or self._waiting_for(host) >= self._concurrency:
                return self._turn(host)
            else:
                self._standby.append((head, endpoint))
        return None

    def _has_room(self, head: Delivery, endpoint: Endpoint) -> bool:
        share = 1 if endpoint.state == "resting" else max(1, self._concurrency // 4)
        return len(self._busy) < self._concurrency and self._hosts[host_of(head.url)] < share

    def _waiting_for(self, host: str) -> int:
        return sum(host_of(head.url) == host for head, _ in self._standby)

    def _go_on(self) -> None:
        """Give free room to a delivery that waits for it, without a look at the database."""
        for place, (head, endpoint) in enumerate(self._standby):
            if head.job_id not in self._busy and self._has_room(head, endpoint) and not self._leaving:
                del self._standby[place]
                self._start(head, endpoint)
                return
        self.wake()

    def _turn(self, host: str) -> datetime:
        """Return the next time to look at a delivery whose host has its share, another one for each."""
        now = self._now()
        self._turns = {known: turn for known, turn in self._turns.items() if turn > now}
        turn = max(self._turns.get(host, now), now + WITHOUT_ROOM)
        self._turns[host] = turn + WITHOUT_ROOM / self._concurrency
        return turn

    async def idle(self) -> None:
        """Wait for what was started."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))

    def _behind_another(self, due: Sequence[Delivery], heads: dict[str, Delivery]) -> list[Delivery]:
        """Return the deliveries that wait for a predecessor, put off: they take no place on the page."""
        later = []
        for delivery in due:
            head = heads.get(delivery.job_id)
            if head and head.id != delivery.id:
                again = max(head.due_at or self._now(), self._now()) + BEHIND_ANOTHER
                later.append(delivery.model_copy(update={"due_at": again}))
        return later

    def _start(self, head: Delivery, endpoint: Endpoint) -> None:
        host = host_of(head.url)
        self._hosts[host] += 1
        task = asyncio.create_task(self._deliver_job(head, endpoint))
        self._busy[head.job_id] = task

        def done(finished: asyncio.Task[None]) -> None:
            del self._busy[head.job_id]
            self._hosts[host] -= 1
            self._go_on()

        task.add_done_callback(done)

    async def _deliver_job(self, head: Delivery, endpoint: Endpoint) -> None:
        """One job's deliveries, one after the other, until one must wait."""
        following: Delivery | None = head
        try:
            while following and await self._may_send(following, endpoint):
                claimed = await self._deliveries.claim(following, self._now() + LEASE)
                if claimed is None:
                    return
                outcome = await self._posted(claimed)
                now = self._now()
                result = after(claimed, outcome, now)
                await self._deliveries.save(result)
                _report(result)
                endpoint = await self._judged(endpoint, outcome)
                if result.state == "pending":
                    return
                following = (await self._deliveries.heads([head.job_id])).get(head.job_id)
                if following and (following.due_at or now) > now and await self._misses_one(following):
                    return
                if following and (endpoint.state != "up" or self._leaving):
                    await self._deliveries.postpone([following.model_copy(update={"due_at": self._now()})])
                    return
        except Exception as error:
            log.warning("delivery_interrupted", job_id=head.job_id, error=f"{type(error).__name__}: {error}")

    async def _may_send(self, delivery: Delivery, endpoint: Endpoint) -> bool:
        """Check the endpoint as it is now; put the delivery off if another one's answer made it rest."""
        known = (await self._endpoints.of([endpoint.id])).get(endpoint.id, endpoint)
        now = self._now()
        if known.state != "disabled" and (known.rests_until is None or known.rests_until <= now):
            return True
        again = known.rests_until or now  # a look then gives up what is for a disabled one
        await self._deliveries.postpone([delivery.model_copy(update={"due_at": again})])
        return False

    async def _misses_one(self, delivery: Delivery) -> bool:
        """Say if the predecessor is still on its way."""
        before = predecessor(delivery)
        return delivery.seq > 1 and before not in await self._deliveries.known([before])

    async def _posted(self, claimed: Delivery) -> Outcome:
        try:
            return await self._post(claimed)
        except asyncio.CancelledError:
            given_back = {"lease_until": None, "due_at": self._now()}
            await self._deliveries.save(claimed.model_copy(update=given_back))
            raise

    async def _judged(self, endpoint: Endpoint, outcome: Outcome) -> Endpoint:
        """Keep the endpoint's new state after an outcome, and log it where it changed."""
        if outcome.delivered and endpoint.state == "up" and not endpoint.failures:
            return endpoint
        async with self._judging:  # others of its deliveries fail at the same time
            endpoint = (await self._endpoints.of([endpoint.id])).get(endpoint.id, endpoint)
            judged = after_try(endpoint, outcome, self._now())
            if judged is not endpoint:
                await self._endpoints.save(judged)
        if judged.state != endpoint.state:
            self._standby = [each for each in self._standby if each[1].id != judged.id]
            endpoints_moved.labels(judged.state).inc()
            told = {"tenant": judged.tenant, "host": host_of(judged.url), "error": judged.last_error}
            log.warning("webhook_endpoint_moved", state=judged.state, failures=judged.failures, **told)
        return judged


def endpoint_of(delivery: Delivery) -> str:
    """The id of its endpoint."""
    return endpoint_id(delivery.tenant, delivery.url)


def _report(delivery: Delivery) -> None:
    webhooks_tried.labels(delivery.state).inc()
    log.info(
        "webhook_tried",
        id=delivery.id,
        host=host_of(delivery.url),
        state=delivery.state,
        attempts=delivery.attempts,
        status=delivery.last_status,
        error=delivery.last_error,
    )
