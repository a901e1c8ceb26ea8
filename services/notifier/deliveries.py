"""The rules of a webhook's delivery: when to try again, when to give up. Pure."""

from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from contracts.base import Model, Moment, Name
from contracts.jobs import JobEvent
from contracts.web_addresses import split_credentials

PAUSES_SECONDS = (1, 5, 30, 120, 600, 1800, 3600)
"""Pauses between tries; the last one repeats."""
GIVE_UP_AFTER = timedelta(hours=24)
MISSING_PREDECESSOR = timedelta(seconds=15)
"""Longest wait of an event for the one before it, which is still on its way."""
GONE = 410
TOO_MANY_REQUESTS = 429
LONGEST_ASKED_PAUSE = timedelta(hours=1)
"""A longer `Retry-After` counts as this."""
State = Literal["pending", "delivered", "gave_up"]


class Delivery(Model):
    """The `deliveries` document (`_id` is the event's id, `{job_id}/{seq}`)."""

    id: str
    job_id: str
    seq: int
    tenant: Name
    url: str
    """Without credentials: it is shown and logged."""
    credentials: str | None = Field(default=None, repr=False)
    """`user:password` of the address as the request wrote it; only used to send."""
    body: str
    """The event as it was published. Links are signed and added whenever it is sent."""
    state: State = "pending"
    attempts: int = 0
    due_at: Moment | None
    """Time of the next try; null once it has ended."""
    created_at: Moment
    retry_until: Moment
    """After this it is given up; a replay moves it."""
    lease_until: Moment | None = None
    finished_at: Moment | None = None
    last_status: int | None = None
    last_error: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _separate_credentials(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and isinstance(fields.get("url"), str):
            url, credentials = split_credentials(fields["url"])
            if credentials is not None:
                return fields | {"url": url, "credentials": credentials}
        return fields


class Outcome(Model):
    """Result of one try."""

    status: int | None = None
    error: str | None = None
    refused: bool = False
    """The address is one that we never send to."""
    unsent: bool = False
    """The try failed before it came to the address, and says nothing about it."""
    retry_after: float | None = None
    """Seconds of the answer's `Retry-After`."""

    @property
    def delivered(self) -> bool:
        """The receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def asked_pause(self) -> timedelta:
        """Time that the receiver asks for before the next request."""
        seconds = min(self.retry_after or 0.0, LONGEST_ASKED_PAUSE.total_seconds())
        return timedelta(seconds=max(0.0, seconds))


def delivery_of(event: JobEvent, url: str, now: datetime) -> Delivery:
    """The webhook for one numbered event."""
    return Delivery(
        id=f"{event.job_id}/{event.seq}",
        job_id=event.job_id,
        seq=event.seq,
        tenant=event.tenant,
        url=url,
        body=event.model_dump_json(),
        due_at=now,
        created_at=now,
        retry_until=now + GIVE_UP_AFTER,
    )


def in_turn(new: Sequence[Delivery], known: Container[str], now: datetime) -> list[Delivery]:
    """Return the deliveries; one whose predecessor is unknown is due a little later.

    A dispatcher that died had numbered the predecessor. The dispatcher that takes over may publish what
    followed before it publishes the predecessor again.
    """
    there = {delivery.id for delivery in new}

    def follows(delivery: Delivery) -> bool:
        return delivery.seq == 1 or (before := predecessor(delivery)) in there or before in known

    return [
        each if follows(each) else each.model_copy(update={"due_at": now + MISSING_PREDECESSOR})
        for each in new
    ]


def predecessor(delivery: Delivery) -> str:
    """The id of the one before it."""
    return f"{delivery.job_id}/{delivery.seq - 1}"


def pause_after(failures: int) -> timedelta:
    """Pause after so many failures in a row."""
    return timedelta(seconds=PAUSES_SECONDS[min(max(failures, 1), len(PAUSES_SECONDS)) - 1])


def after(delivery: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """Return the delivery after one try: ended, or due after our pause or the receiver's, the longer one."""
    tried = delivery.model_copy(
        update={
            "attempts": delivery.attempts + 1,
            "lease_until": None,
            "last_status": outcome.status,
            "last_error": outcome.error,
        }
    )
    if outcome.delivered:
        return _ended(tried, "delivered", now)
    due_at = now + max(pause_after(tried.attempts), outcome.asked_pause)
    if outcome.refused or outcome.status == GONE or due_at > delivery.retry_until:
        return _ended(tried, "gave_up", now)
    return tried.model_copy(update={"due_at": due_at})


def given_up(delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """It is not tried at all; a replay may still bring it."""
    return _ended(delivery.model_copy(update={"last_error": reason}), "gave_up", now)


def _ended(delivery: Delivery, state: State, now: datetime) -> Delivery:
    return delivery.model_copy(update={"state": state, "finished_at": now, "due_at": None})
