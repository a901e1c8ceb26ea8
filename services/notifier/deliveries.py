"""The rules of a webhook's delivery: when to try again, when to give up. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from contracts.base import Model, Moment, Name
from contracts.jobs import JobEvent

PAUSES_SECONDS = (1, 5, 30, 120, 600, 1800, 3600)
"""Between tries; the last one repeats."""
GIVE_UP_AFTER = timedelta(hours=24)
GONE = 410


class Delivery(Model):
    """The `deliveries` document (`_id` is the event's id, `{job_id}/{seq}`)."""

    id: str
    job_id: str
    seq: int
    tenant: Name
    url: str
    body: str
    state: Literal["pending", "delivered", "gave_up"] = "pending"
    attempts: int = 0
    due_at: Moment
    created_at: Moment
    lease_until: Moment | None = None
    finished_at: Moment | None = None
    last_status: int | None = None
    last_error: str | None = None


class Outcome(Model):
    """What came of one try. `refused`: the address is one that we never send to."""

    status: int | None = None
    error: str | None = None
    refused: bool = False


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
    )


def after(delivery: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """What one try makes of a delivery."""
    tried = delivery.model_copy(
        update={
            "attempts": delivery.attempts + 1,
            "lease_until": None,
            "last_status": outcome.status,
            "last_error": outcome.error,
        }
    )
    if outcome.status is not None and 200 <= outcome.status < 300:
        return tried.model_copy(update={"state": "delivered", "finished_at": now})
    due_at = now + timedelta(seconds=PAUSES_SECONDS[min(delivery.attempts, len(PAUSES_SECONDS) - 1)])
    if outcome.refused or outcome.status == GONE or due_at > delivery.created_at + GIVE_UP_AFTER:
        return tried.model_copy(update={"state": "gave_up", "finished_at": now})
    return tried.model_copy(update={"due_at": due_at})
