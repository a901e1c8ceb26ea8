"""HTTP models of webhook endpoints and deliveries."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from contracts.base import Flag, Id, Model, Moment
from contracts.strictness import Body


class WebhookEndpoint(Model):
    """A webhook address that has failed. `backing_off`: it is retried later; `disabled`: it is not."""

    url: str
    state: Literal["up", "backing_off", "disabled"]
    failures: int
    """Number of consecutive failures."""
    failing_since: Moment | None = None
    backoff_until: Moment | None = None
    last_error: str | None = None


class WebhookEndpoints(Model):
    """A tenant's addresses that have failed, and the secret that signs all its webhooks."""

    secret: str
    """Secret in the format of Standard Webhooks, `whsec_…`."""
    endpoints: tuple[WebhookEndpoint, ...] = ()


class WebhookDelivery(Model):
    """Delivery of one event to a webhook. `id` is the `webhook-id` header that the receiver sees."""

    id: str
    job_id: Id
    seq: int
    url: str
    state: Literal["pending", "delivered", "gave_up"]
    attempts: int
    created_at: Moment
    due_at: Moment | None = None
    finished_at: Moment | None = None
    last_status: int | None = None
    last_error: str | None = None


class WebhookDeliveries(Model):
    """Deliveries, newest first."""

    deliveries: tuple[WebhookDelivery, ...]


class ReplayWebhooks(Body):
    """Conditions that select ended deliveries for a replay. All must hold.

    A replay has the same id and event as the original, and new links.
    """

    state: Literal["delivered", "gave_up"] | None = "gave_up"
    """Final state of the deliveries. Null: any."""
    job_id: Id | None = None
    """Only deliveries of this job."""
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Only deliveries to this address."""
    since: Moment | None = None
    """Only deliveries created at this time or later."""


class EnableEndpoint(Body):
    """Body that enables a disabled endpoint."""

    url: Annotated[str, StringConstraints(max_length=2000)]
    """The address, exactly as in the list of endpoints."""
    replay: Flag = True
    """True to repeat the deliveries that were given up meanwhile."""


class Replayed(Model):
    """Number of deliveries that are pending again."""

    replayed: int
