"""Rules for the delivery of a webhook: when to retry, and when to give up. Pure."""

from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from contracts.base import Model, Moment, Name
from contracts.jobs import JobEvent
from contracts.web_addresses import split_credentials

PAUSES_SECONDS = (1, 5, 30, 120, 600, 1800, 3600)
"""Pauses between attempts; the last one repeats."""
GIVE_UP_AFTER = timedelta(hours=24)
PREDECESSOR_WAIT = timedelta(seconds=15)
"""Longest wait of an event for the one before it, which is still on its way."""
GONE = 410
TOO_MANY_REQUESTS = 429
MAX_RETRY_AFTER = timedelta(hours=1)
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
    """Time of the next attempt; null once it has ended."""
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

    def postponed(self, until: datetime) -> "Delivery":
        """Return the delivery with another time for its next attempt."""
        return self.model_copy(update={"due_at": until})

    def released(self, now: datetime) -> "Delivery":
        """Return a leased delivery as due at once, for any instance."""
        return self.model_copy(update={"lease_until": None, "due_at": now})


class Outcome(Model):
    """Result of one attempt."""

    status: int | None = None
    error: str | None = None
    refused: bool = False
    """The address is not public, or no URL; nothing is ever sent to it."""
    unsent: bool = False
    """The attempt failed before a connection; it tells nothing about the endpoint."""
    retry_after: float | None = None
    """Seconds of the answer's `Retry-After`."""

    @property
    def delivered(self) -> bool:
        """True when the receiver accepted it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def requested_pause(self) -> timedelta:
        """Time that the receiver requests before the next attempt."""
        seconds = min(self.retry_after or 0.0, MAX_RETRY_AFTER.total_seconds())
        return timedelta(seconds=max(0.0, seconds))


def delivery_of(event: JobEvent, url: str, now: datetime) -> Delivery:
    """Return the delivery of one numbered event."""
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


def with_due_times(new: Sequence[Delivery], known: Container[str], now: datetime) -> list[Delivery]:
    """Return new deliveries; one whose predecessor is unknown is due a little later.

    After a crash of the dispatcher service, its successor may publish later events of a job before it
    publishes the missing one again.
    """
    there = {delivery.id for delivery in new}

    def follows(delivery: Delivery) -> bool:
        return delivery.seq == 1 or (before := predecessor(delivery)) in there or before in known

    return [each if follows(each) else each.postponed(now + PREDECESSOR_WAIT) for each in new]


def predecessor(delivery: Delivery) -> str:
    """Return the id of the job's delivery before this one."""
    return f"{delivery.job_id}/{delivery.seq - 1}"


def pause_after(failures: int) -> timedelta:
    """Return the pause after a number of consecutive failures."""
    return timedelta(seconds=PAUSES_SECONDS[min(max(failures, 1), len(PAUSES_SECONDS)) - 1])


def after_attempt(delivery: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """Return the delivery after an attempt: ended, or due after the longer pause, ours or the receiver's."""
    attempted = delivery.model_copy(
        update={
            "attempts": delivery.attempts + 1,
            "lease_until": None,
            "last_status": outcome.status,
            "last_error": outcome.error,
        }
    )
    if outcome.delivered:
        return _ended(attempted, "delivered", now)
    due_at = now + max(pause_after(attempted.attempts), outcome.requested_pause)
    if outcome.refused or outcome.status == GONE or due_at > delivery.retry_until:
        return _ended(attempted, "gave_up", now)
    return attempted.postponed(due_at)


def given_up(delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """Return the delivery given up without an attempt; a replay can still send it."""
    return _ended(delivery.model_copy(update={"last_error": reason}), "gave_up", now)


def _ended(delivery: Delivery, state: State, now: datetime) -> Delivery:
    return delivery.model_copy(update={"state": state, "finished_at": now, "due_at": None})
