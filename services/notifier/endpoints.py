"""The rules of an endpoint: when it is left alone for a while, and when for good. Pure."""

import hashlib
from datetime import datetime, timedelta
from typing import Literal

from contracts.base import Model, Moment, Name
from services.notifier.deliveries import GONE, Outcome

FAILURES_TO_REST = 5
"""Failures in a row, whichever jobs they were about."""
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(hours=1)
DISABLED_AFTER = timedelta(hours=24)
"""So long nothing but failures, and it is only tried again when somebody says so."""


class Endpoint(Model):
    """The `endpoints` document: one webhook address of one tenant, once it has failed."""

    id: str
    tenant: Name
    url: str
    state: Literal["up", "resting", "disabled"] = "up"
    failures: int = 0
    failing_since: Moment | None = None
    rests_until: Moment | None = None
    """Nothing is sent before; then one delivery is the probe."""
    last_error: str | None = None


def endpoint_id(tenant: str, url: str) -> str:
    """One key for an address of a tenant, however long."""
    return hashlib.sha256(f"{tenant} {url}".encode()).hexdigest()


def new_endpoint(tenant: str, url: str) -> Endpoint:
    """An address that nothing is known of."""
    return Endpoint(id=endpoint_id(tenant, url), tenant=tenant, url=url)


def after_try(endpoint: Endpoint, outcome: Outcome, now: datetime) -> Endpoint:
    """What one delivery's outcome makes of its endpoint; the same object when nothing changes."""
    if outcome.delivered:
        return endpoint if endpoint.state == "up" and not endpoint.failures else enabled(endpoint)
    failures, since = endpoint.failures + 1, endpoint.failing_since or now
    failed = endpoint.model_copy(
        update={
            "failures": failures,
            "failing_since": since,
            "last_error": (outcome.error or f"status {outcome.status}")[:300],
        }
    )
    if outcome.status == GONE or now - since >= DISABLED_AFTER:
        return failed.model_copy(update={"state": "disabled", "rests_until": None})
    if failures < FAILURES_TO_REST:
        return failed
    rest = min(LONGEST_REST, FIRST_REST * 2 ** min(20, failures - FAILURES_TO_REST))
    return failed.model_copy(update={"state": "resting", "rests_until": now + rest})


def enabled(endpoint: Endpoint) -> Endpoint:
    """As if it had never failed."""
    return endpoint.model_copy(
        update={
            "state": "up",
            "failures": 0,
            "failing_since": None,
            "rests_until": None,
            "last_error": None,
        }
    )
