"""What the checker is given: everything that was kept or said, as it is found there."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.chaos.load import Order

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """A record of `job.events`."""

    id: str
    """Its CloudEvents id."""
    body: Document


@dataclass(frozen=True)
class Submission:
    """An entry of a provider's own books. `our_id` is what we put into the request."""

    provider: str
    id: str
    our_id: str | None
    state: str
    at: datetime
    asked: int = 1
    """How often it was asked for; a provider that knows our id starts it once all the same."""


@dataclass(frozen=True)
class Got:
    """A webhook as its receiver acknowledged it."""

    id: str
    url: str
    body: bytes
    timestamp: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Evidence:
    """All of it, after everything has come to rest."""

    asked: Sequence[str] = ()
    """The ids of all jobs that were asked for and acknowledged."""
    orders: Mapping[str, Order] = field(default_factory=dict)
    """What there was to be asked for, by job."""
    told: Mapping[str, str] = field(default_factory=dict)
    """The webhook of each job that named one."""
    jobs: Mapping[str, Document] = field(default_factory=dict)
    chains: Mapping[str, Document] = field(default_factory=dict)
    events: Sequence[Said] = ()
    dead_letters: Sequence[Document] = ()
    assets: Mapping[str, Document] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    """Key and SHA-256 of the content of every object in the bucket."""
    attempts: Mapping[str, Document] = field(default_factory=dict)
    submissions: Sequence[Submission] = ()
    got: Sequence[Got] = ()
    """In the order in which they came."""
    under_way: Sequence[str] = ()
    """What had not come to rest when the time was up: `{where}: {what}`."""
    secret: str = ""
    """Ours, from which each tenant's secret for its webhooks is made."""


def id_at_provider(attempt_id: str) -> str:
    """What Modal and ComfyUI are given; Fal's webhook carries the attempt id itself."""
    return str(uuid5(NAMESPACE_URL, f"imagegen:{attempt_id}"))


def events_by_job(evidence: Evidence) -> dict[str, list[Said]]:
    """The numbered ones."""
    found: dict[str, list[Said]] = defaultdict(list)
    for each in evidence.events:
        if each.body["event"] != "progressed":
            found[each.body["job_id"]].append(each)
    return found


def taken_by_attempt(evidence: Evidence) -> dict[str | None, list[Submission]]:
    """The providers' books, by our attempt; under None what is of no entry of our ledger."""
    names = {id_at_provider(attempt_id): attempt_id for attempt_id in evidence.attempts}
    found: dict[str | None, list[Submission]] = defaultdict(list)
    for submission in evidence.submissions:
        attempt_id = names.get(submission.our_id or "", submission.our_id)
        found[attempt_id if attempt_id in evidence.attempts else None].append(submission)
    return found
