"""`/v1/webhooks/…`: endpoints that fail, deliveries, and their replay"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query

from contracts.base import Id
from contracts.http_webhooks import (
    EnableEndpoint,
    Replayed,
    ReplayWebhooks,
    WebhookDeliveries,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEndpoints,
)
from services.notifier.deliveries import GIVE_UP_AFTER, Delivery, State
from services.notifier.endpoints import Endpoint, address_of, enabled, endpoint_id
from services.notifier.ports import Deliveries, DeliveryFilter, Endpoints
from services.notifier.posting import secret_of
from services.notifier.routes import CallerIdentity
from shared.clock import Clock
from shared.http.bodies import JsonRoute
from shared.http.problems import Refusal, problem_responses


def webhook_routes(
    deliveries: Deliveries, endpoints: Endpoints, wake: Callable[[], None], secret: str, now: Clock
) -> APIRouter:
    """Return the routes for operators of receivers. Each shows the caller's tenant only."""
    router = APIRouter(
        route_class=JsonRoute,
        prefix="/v1/webhooks",
        tags=["webhooks"],
        responses=problem_responses(401, 422, 503),
    )

    async def again(wanted: DeliveryFilter) -> Replayed:
        replayed = await deliveries.replay(wanted, now(), now() + GIVE_UP_AFTER)
        wake()
        return Replayed(replayed=replayed)

    @router.get("/endpoints")
    async def list_endpoints(caller: CallerIdentity) -> WebhookEndpoints:
        """List the addresses that have failed, without credentials, and the secret that signs webhooks."""
        known = await endpoints.of_tenant(caller.tenant)
        return WebhookEndpoints(
            secret=secret_of(caller.tenant, secret),
            endpoints=tuple(_endpoint_view(endpoint) for endpoint in known),
        )

    @router.post("/endpoints/enable", responses=problem_responses(400, 404, 413, 415))
    async def enable_endpoint(wanted: EnableEndpoint, caller: CallerIdentity) -> Replayed:
        """Enable an address that is backing off or disabled, and try it again."""
        found = (await endpoints.of([endpoint_id(caller.tenant, wanted.url)])).values()
        if not found:
            raise Refusal(
                404,
                f"No webhook to {address_of(wanted.url)[:200]} has failed; use an address from the list.",
            )
        for endpoint in found:
            await endpoints.save(enabled(endpoint))
        if not wanted.replay:
            wake()
            return Replayed(replayed=0)
        return await again(DeliveryFilter(tenant=caller.tenant, url=address_of(wanted.url), state="gave_up"))

    @router.get("/deliveries")
    async def list_deliveries(
        caller: CallerIdentity,
        state: State | None = None,
        job_id: Id | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> WebhookDeliveries:
        """List pending, delivered and given-up deliveries, newest first."""
        selected = DeliveryFilter(tenant=caller.tenant, state=state, job_id=job_id)
        found = await deliveries.listed(selected, limit)
        return WebhookDeliveries(deliveries=tuple(_delivery_view(delivery) for delivery in found))

    @router.post("/deliveries/replay", status_code=202, responses=problem_responses(400, 413, 415))
    async def replay(wanted: ReplayWebhooks, caller: CallerIdentity) -> Replayed:
        """Send ended deliveries again: same id and event, new links, in order per job."""
        url = address_of(wanted.url) if wanted.url else None
        return await again(
            DeliveryFilter(tenant=caller.tenant, **wanted.model_dump(exclude={"url"}), url=url)
        )

    return router


def _endpoint_view(endpoint: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(**endpoint.model_dump(exclude={"id", "tenant"}))


def _delivery_view(delivery: Delivery) -> WebhookDelivery:
    return WebhookDelivery(**delivery.model_dump(include=set(WebhookDelivery.model_fields)))
