"""The rules of an endpoint: when it is left alone for a while, and when for good. Pure."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator

from contracts.base import Model, Moment, Name
from contracts.web_addresses import split_credentials
from services.notifier.deliveries import GONE, TOO_MANY_REQUESTS, Outcome, pause_after

FAILURES_TO_REST = 5
"""Failures in a row, whichever jobs they were about."""
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(hours=1)
DISABLED_AFTER = timedelta(hours=24)
"""After failures alone for this time, an address is only tried again when its owner enables it."""


def address_of(url: str) -> str:
    """The URL without credentials, by which an endpoint is known and shown."""
    return split_credentials(url)[0]


class Endpoint(Model):
    """The `endpoints` document: one webhook address of one tenant, once it has failed."""

    id: str
    tenant: Name
    url: Annotated[str, AfterValidator(address_of)]
    state: Literal["up", "resting", "disabled"] = "up"
    failures: int = 0
    failing_since: Moment | None = None
    rests_until: Moment | None = None
    """Nothing is sent before; then one delivery is the probe."""
    asked_until: Moment | None = None
    """End of the pause that the receiver asked for. Unlike our own rests, a success does not end it."""
    last_error: str | None = None


def endpoint_id(tenant: str, url: str) -> str:
    """Key of a tenant's address, however long; the same for all credentials."""
    return hashlib.sha256(f"{tenant} {address_of(url)}".encode()).hexdigest()


def new_endpoint(tenant: str, url: str) -> Endpoint:
    """An address that nothing is known of."""
    return Endpoint(id=endpoint_id(tenant, url), tenant=tenant, url=url)


def after_try(endpoint: Endpoint, outcome: Outcome, now: datetime) -> Endpoint:
    """Return the endpoint after one delivery's outcome; the same object when nothing changes.

    A receiver that names a pause (`Retry-After`) is not counted as broken: all that is meant for it waits
    for that pause, and its rests do not grow. Answers to requests that were on their way do not end it.
    """
    if outcome.unsent:
        return endpoint
    if outcome.delivered:
        return _after_success(endpoint, now)
    failures = max(1, endpoint.failures) if outcome.asked_pause else endpoint.failures + 1
    since = endpoint.failing_since or now
    failed = endpoint.model_copy(
        update={
            "failures": failures,
            "failing_since": since,
            "last_error": (outcome.error or f"status {outcome.status}")[:300],
        }
    )
    if outcome.status == GONE or now - since >= DISABLED_AFTER:
        return failed.model_copy(update={"state": "disabled", "rests_until": None})
    asked = outcome.asked_pause
    if not asked and outcome.status == TOO_MANY_REQUESTS:
        asked = pause_after(failures)
    rest = max(_own_rest(failures), asked)
    if not rest:
        return failed
    return failed.model_copy(
        update={
            "state": "resting",
            "rests_until": max(now + rest, endpoint.rests_until or now),
            "asked_until": max(now + asked, endpoint.asked_until or now) if asked else endpoint.asked_until,
        }
    )


def _after_success(endpoint: Endpoint, now: datetime) -> Endpoint:
    if endpoint.state == "up" and not endpoint.failures:
        return endpoint
    good = enabled(endpoint)
    until = endpoint.asked_until
    if until is None or until <= now:
        return good
    return good.model_copy(update={"state": "resting", "rests_until": until, "asked_until": until})


def _own_rest(failures: int) -> timedelta:
    if failures < FAILURES_TO_REST:
        return timedelta(0)
    doublings = min(20, failures - FAILURES_TO_REST)
    return min(LONGEST_REST, FIRST_REST * (1 << doublings))


def enabled(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as if it had never failed."""
    return endpoint.model_copy(
        update={
            "state": "up",
            "failures": 0,
            "failing_since": None,
            "rests_until": None,
            "asked_until": None,
            "last_error": None,
        }
    )
