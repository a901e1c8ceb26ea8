"""Rules for the health of a webhook endpoint: when it backs off, and when it is disabled. Pure."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator

from contracts.base import Model, Moment, Name
from contracts.web_addresses import split_credentials
from services.notifier.deliveries import GONE, TOO_MANY_REQUESTS, Outcome, pause_after

FAILURES_TO_BACK_OFF = 5
"""Number of consecutive failures, of any jobs."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
DISABLED_AFTER = timedelta(hours=24)
"""After nothing but failures for this time, an address is disabled until its owner enables it."""


def address_of(url: str) -> str:
    """Return the URL without credentials; it identifies an endpoint and may be shown."""
    return split_credentials(url)[0]


class Endpoint(Model):
    """The `endpoints` document: a webhook address of a tenant that has failed at least once."""

    id: str
    tenant: Name
    url: Annotated[str, AfterValidator(address_of)]
    state: Literal["up", "backing_off", "disabled"] = "up"
    failures: int = 0
    failing_since: Moment | None = None
    backoff_until: Moment | None = None
    """No delivery is sent before; the first one after it is a probe."""
    retry_after_until: Moment | None = None
    """End of the pause that the receiver requested. Unlike our own backoff, a success does not end it."""
    last_error: str | None = None


def endpoint_id(tenant: str, url: str) -> str:
    """Return the key of a tenant's address, of any length; the same for all credentials."""
    return hashlib.sha256(f"{tenant} {address_of(url)}".encode()).hexdigest()


def new_endpoint(tenant: str, url: str) -> Endpoint:
    """Return an endpoint that has not failed."""
    return Endpoint(id=endpoint_id(tenant, url), tenant=tenant, url=url)


def after_attempt(endpoint: Endpoint, outcome: Outcome, now: datetime) -> Endpoint:
    """Return the endpoint after an attempt; the same object when nothing changes.

    A receiver that names a pause (`Retry-After`) does not count as broken: all its deliveries wait for
    that pause, and its backoff does not grow. Answers to requests in flight do not end the pause.
    """
    if outcome.unsent:
        return endpoint
    if outcome.delivered:
        return _after_success(endpoint, now)
    failures = max(1, endpoint.failures) if outcome.requested_pause else endpoint.failures + 1
    since = endpoint.failing_since or now
    failed = endpoint.model_copy(
        update={
            "failures": failures,
            "failing_since": since,
            "last_error": (outcome.error or f"status {outcome.status}")[:300],
        }
    )
    if outcome.status == GONE or now - since >= DISABLED_AFTER:
        return failed.model_copy(update={"state": "disabled", "backoff_until": None})
    requested = outcome.requested_pause
    if not requested and outcome.status == TOO_MANY_REQUESTS:
        requested = pause_after(failures)
    backoff = max(_own_backoff(failures), requested)
    if not backoff:
        return failed
    return failed.model_copy(
        update={
            "state": "backing_off",
            "backoff_until": max(now + backoff, endpoint.backoff_until or now),
            "retry_after_until": max(now + requested, endpoint.retry_after_until or now)
            if requested
            else endpoint.retry_after_until,
        }
    )


def _after_success(endpoint: Endpoint, now: datetime) -> Endpoint:
    if endpoint.state == "up" and not endpoint.failures:
        return endpoint
    good = enabled(endpoint)
    until = endpoint.retry_after_until
    if until is None or until <= now:
        return good
    return good.model_copy(
        update={"state": "backing_off", "backoff_until": until, "retry_after_until": until}
    )


def _own_backoff(failures: int) -> timedelta:
    if failures < FAILURES_TO_BACK_OFF:
        return timedelta(0)
    doublings = min(20, failures - FAILURES_TO_BACK_OFF)
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << doublings))


def enabled(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as if it had never failed."""
    return endpoint.model_copy(
        update={
            "state": "up",
            "failures": 0,
            "failing_since": None,
            "backoff_until": None,
            "retry_after_until": None,
            "last_error": None,
        }
    )
