"""Input of the checker: all stored and published data, as found."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.chaos.load import Order

Document = Mapping[str, Any]


@dataclass(frozen=True)
class PublishedEvent:
    """A record of `job.events`."""

    id: str
    """The CloudEvents id."""
    body: Document


@dataclass(frozen=True)
class Submission:
    """An entry of a provider's submission log, under the idempotency key of the request."""

    provider: str
    id: str
    idempotency_key: str | None
    state: str
    at: datetime
    requests: int = 1
    """Number of requests; a provider that knows the key starts the work once all the same."""


@dataclass(frozen=True)
class ReceivedWebhook:
    """A webhook as its receiver acknowledged it."""

    id: str
    url: str
    body: bytes
    timestamp: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Evidence:
    """The data of a run, read after the platform has come to rest."""

    asked: Sequence[str] = ()
    """Ids of the jobs whose submission was acknowledged."""
    orders: Mapping[str, Order] = field(default_factory=dict)
    """The orders of the run, by job id."""
    webhook_urls: Mapping[str, str] = field(default_factory=dict)
    """Webhook address of each job that named one."""
    jobs: Mapping[str, Document] = field(default_factory=dict)
    chains: Mapping[str, Document] = field(default_factory=dict)
    events: Sequence[PublishedEvent] = ()
    dead_letters: Sequence[Document] = ()
    assets: Mapping[str, Document] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    """Key and SHA-256 of the content of every object in the bucket."""
    attempts: Mapping[str, Document] = field(default_factory=dict)
    submissions: Sequence[Submission] = ()
    webhooks: Sequence[ReceivedWebhook] = ()
    """In the order of arrival."""
    under_way: Sequence[str] = ()
    """Open work when the time was up: `{where}: {what}`."""
    secret: str = ""
    """The secret from which each tenant's webhook secret is derived."""


def id_at_provider(attempt_id: str) -> str:
    """Return the idempotency key for Modal and ComfyUI; Fal's webhook address has the attempt id."""
    return str(uuid5(NAMESPACE_URL, f"imagegen:{attempt_id}"))


def events_by_job(evidence: Evidence) -> dict[str, list[PublishedEvent]]:
    """Return the numbered events, by job id."""
    found: dict[str, list[PublishedEvent]] = defaultdict(list)
    for each in evidence.events:
        if each.body["event"] != "progressed":
            found[each.body["job_id"]].append(each)
    return found


def taken_by_attempt(evidence: Evidence) -> dict[str | None, list[Submission]]:
    """Return the submissions by attempt id; submissions without a ledger entry are under None."""
    names = {id_at_provider(attempt_id): attempt_id for attempt_id in evidence.attempts}
    found: dict[str | None, list[Submission]] = defaultdict(list)
    for submission in evidence.submissions:
        attempt_id = names.get(submission.idempotency_key or "", submission.idempotency_key)
        found[attempt_id if attempt_id in evidence.attempts else None].append(submission)
    return found
