"""Webhook endpoints and deliveries over HTTP."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from contracts.base import Flag, Id, Model, Moment
from contracts.strictness import Body


class WebhookEndpoint(Model):
    """A webhook address that has failed. `resting`: tried again later by itself; `disabled`: not at all."""

    url: str
    state: Literal["up", "resting", "disabled"]
    failures: int
    """In a row."""
    failing_since: Moment | None = None
    rests_until: Moment | None = None
    last_error: str | None = None


class WebhookEndpoints(Model):
    """All of a tenant's addresses that have failed, and the secret that all its webhooks are signed with."""

    secret: str
    """Standard Webhooks, `whsec_…`."""
    endpoints: tuple[WebhookEndpoint, ...] = ()


class WebhookDelivery(Model):
    """One event on its way to a webhook. `id` is the `webhook-id` that the receiver sees."""

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
    """Conditions for ended deliveries to be sent again: same id and event, new links. All must hold."""

    state: Literal["delivered", "gave_up"] | None = "gave_up"
    """How the deliveries ended; null: either way."""
    job_id: Id | None = None
    """Only deliveries of this job."""
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Only deliveries to this address."""
    since: Moment | None = None
    """Only deliveries created at this time or later."""


class EnableEndpoint(Body):
    """An address that is to be tried again."""

    url: Annotated[str, StringConstraints(max_length=2000)]
    """The address, as the list of endpoints has it."""
    replay: Flag = True
    """True to send the deliveries again that were given up meanwhile."""


class Replayed(Model):
    """How many deliveries are pending again."""

    replayed: int
