"""The stored health of webhook endpoints, updated after every attempt."""

import asyncio

import prometheus_client as prometheus
import structlog

from services.notifier.deliveries import Outcome
from services.notifier.endpoints import Endpoint, after_attempt
from services.notifier.hosts import host_of
from services.notifier.ports import Endpoints
from shared.clock import Clock

log = structlog.get_logger()

endpoint_transitions = prometheus.Counter(
    "imagegen_webhook_endpoint_transitions", "State changes of webhook endpoints, by new state", ["state"]
)


class EndpointHealth:
    """Reads and writes the `endpoints` documents for one dispatcher."""

    def __init__(self, endpoints: Endpoints, now: Clock) -> None:
        self._endpoints = endpoints
        self._now = now
        self._recording = asyncio.Lock()

    async def current(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint as it is stored now."""
        return (await self._endpoints.of([endpoint.id])).get(endpoint.id, endpoint)

    async def record(self, endpoint: Endpoint, outcome: Outcome) -> Endpoint:
        """Return the endpoint after an attempt; store it and log it when it has changed."""
        if outcome.delivered and endpoint.state == "up" and not endpoint.failures:
            return endpoint
        async with self._recording:  # several deliveries to one endpoint fail at the same time
            before = await self.current(endpoint)
            after = after_attempt(before, outcome, self._now())
            if after is not before:
                await self._endpoints.save(after)
        if after.state != before.state:
            _report_transition(after)
        return after


def _report_transition(endpoint: Endpoint) -> None:
    endpoint_transitions.labels(endpoint.state).inc()
    log.warning(
        "webhook_endpoint_state_changed",
        state=endpoint.state,
        failures=endpoint.failures,
        tenant=endpoint.tenant,
        host=host_of(endpoint.url),
        error=endpoint.last_error,
    )
