"""The deliveries of one job → HTTP, one after the other, until one must wait."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import prometheus_client as prometheus
import structlog

from services.notifier.deliveries import Delivery, Outcome, after_attempt, predecessor
from services.notifier.endpoint_health import EndpointHealth
from services.notifier.endpoints import Endpoint
from services.notifier.hosts import host_of
from services.notifier.ports import Deliveries
from shared.clock import Clock

log = structlog.get_logger()

attempts = prometheus.Counter(
    "imagegen_webhook_attempts", "Attempts to deliver a webhook, by the delivery's state after it", ["state"]
)

Post = Callable[[Delivery], Awaitable[Outcome]]

LEASE = timedelta(seconds=30)


class JobSender:
    """Sends a job's deliveries in order. Each is leased, so that several instances may run at once."""

    def __init__(self, deliveries: Deliveries, health: EndpointHealth, post: Post, now: Clock) -> None:
        self._deliveries = deliveries
        self._health = health
        self._post = post
        self._now = now
        self._stopping = False

    def stop(self) -> None:
        """Begin no further delivery; those in flight may end."""
        self._stopping = True

    async def send(self, head: Delivery, endpoint: Endpoint) -> Endpoint:
        """Send a job's first pending delivery and those that follow it; return the endpoint afterwards."""
        following: Delivery | None = head
        try:
            while following and await self._may_send(following, endpoint):
                claimed = await self._deliveries.claim(following, self._now() + LEASE)
                if claimed is None:
                    break
                attempted, endpoint = await self._attempt(claimed, endpoint)
                if attempted.state == "pending":
                    break
                following = await self._next(attempted, endpoint)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("webhook_delivery_interrupted", job_id=head.job_id, error=reason)
        return endpoint

    async def _may_send(self, delivery: Delivery, endpoint: Endpoint) -> bool:
        """Check the endpoint as it is now; postpone the delivery if another one's answer made it back off."""
        known = await self._health.current(endpoint)
        now = self._now()
        if known.state != "disabled" and (known.backoff_until is None or known.backoff_until <= now):
            return True
        due_at = known.backoff_until or now  # the next plan gives up deliveries to a disabled endpoint
        await self._deliveries.postpone([delivery.postponed(due_at)])
        return False

    async def _attempt(self, claimed: Delivery, endpoint: Endpoint) -> tuple[Delivery, Endpoint]:
        try:
            outcome = await self._post(claimed)
        except asyncio.CancelledError:
            await self._deliveries.save(claimed.released(self._now()))
            raise
        attempted = after_attempt(claimed, outcome, self._now())
        await self._deliveries.save(attempted)
        report(attempted)
        return attempted, await self._health.record(endpoint, outcome)

    async def _next(self, ended: Delivery, endpoint: Endpoint) -> Delivery | None:
        """Return the job's next delivery if it may go out at once."""
        now = self._now()
        following = (await self._deliveries.heads([ended.job_id])).get(ended.job_id)
        if following is None:
            return None
        if (following.due_at or now) > now and await self._predecessor_is_missing(following):
            return None
        if endpoint.state != "up" or self._stopping:
            await self._deliveries.postpone([following.postponed(now)])
            return None
        return following

    async def _predecessor_is_missing(self, delivery: Delivery) -> bool:
        before = predecessor(delivery)
        return delivery.seq > 1 and before not in await self._deliveries.known([before])


def report(delivery: Delivery) -> None:
    """Log and count the state of a delivery after an attempt, or after it was given up."""
    attempts.labels(delivery.state).inc()
    fields = {
        "id": delivery.id,
        "host": host_of(delivery.url),
        "attempts": delivery.attempts,
        "status": delivery.last_status,
    }
    if delivery.state == "delivered":
        log.info("webhook_delivered", **fields)
    elif delivery.state == "gave_up":
        log.warning("webhook_given_up", error=delivery.last_error, **fields)
    else:
        log.info("webhook_delivery_failed", error=delivery.last_error, retry_at=delivery.due_at, **fields)
