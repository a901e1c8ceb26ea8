"""The plan of a webhook dispatcher: which due deliveries to send, to postpone and to give up. Pure.

Deliveries of a job go out in order: only its first pending one, the head, is ever sent. A host gets at
most a quarter of the slots, and an endpoint that is backing off gets one probe at a time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.notifier.deliveries import Delivery, given_up
from services.notifier.endpoints import Endpoint, endpoint_id, new_endpoint
from services.notifier.hosts import host_of

BEHIND_HEAD: Final = timedelta(seconds=30)
"""Delay of a job's later deliveries after its head is due. The process that sends the head goes on with
them by itself; this is for the case that it dies in between."""
SLOT_WAIT: Final = timedelta(seconds=1)
"""Shortest delay of a delivery that finds the slots of its host used up."""
HOST_SHARE: Final = 4
"""A host gets one slot in four."""


class Ready(NamedTuple):
    """A delivery to send as soon as there is a slot, with its endpoint."""

    delivery: Delivery
    endpoint: Endpoint


@dataclass
class Busy:
    """The slots in use, by job and by host."""

    concurrency: int
    jobs: set[str] = field(default_factory=set)
    hosts: Counter[str] = field(default_factory=Counter)
    next_slots: dict[str, datetime] = field(default_factory=dict)
    """Per host, the due time of the next delivery that finds no free slot."""

    @property
    def full(self) -> bool:
        """True when no delivery at all can start."""
        return len(self.jobs) >= self.concurrency

    def has_room(self, ready: Ready) -> bool:
        """Return whether the delivery can start now."""
        delivery, endpoint = ready
        share = 1 if endpoint.state == "backing_off" else max(1, self.concurrency // HOST_SHARE)
        return (
            not self.full and delivery.job_id not in self.jobs and self.hosts[host_of(delivery.url)] < share
        )

    def start(self, delivery: Delivery) -> None:
        """Take a slot."""
        self.jobs.add(delivery.job_id)
        self.hosts[host_of(delivery.url)] += 1

    def finish(self, delivery: Delivery) -> None:
        """Free the slot that the delivery's job took."""
        self.jobs.discard(delivery.job_id)
        self.hosts -= Counter([host_of(delivery.url)])

    def copy(self) -> "Busy":
        """Return an independent copy."""
        return Busy(self.concurrency, set(self.jobs), Counter(self.hosts), dict(self.next_slots))


class Plan(NamedTuple):
    """Decisions about due deliveries. `send` has those that wait for a slot at the end."""

    send: list[Ready]
    postpone: list[Delivery]
    """With the time at which they are due again."""
    give_up: list[Delivery]
    next_slots: dict[str, datetime]


def plan(
    due: Sequence[Delivery],
    heads: Mapping[str, Delivery],
    endpoints: Mapping[str, Endpoint],
    busy: Busy,
    now: datetime,
) -> Plan:
    """Decide about a page of due deliveries.

    Args:
        heads: the first pending delivery of each job on the page, due or not.
        endpoints: the endpoints that have failed, by id.
    """
    started: list[Ready] = []
    waiting: list[Ready] = []
    postpone = [*_behind_heads(due, heads, endpoints, now)]
    give_up: list[Delivery] = []
    later = busy.copy()
    next_slots = {host: slot for host, slot in busy.next_slots.items() if slot > now}
    for ready in _due_heads(heads, endpoints, busy, now):
        head, endpoint = ready
        if endpoint.state == "disabled":
            give_up.append(given_up(head, f"endpoint disabled: {endpoint.last_error}", now))
        elif endpoint.backoff_until and endpoint.backoff_until > now:
            postpone.append(head.postponed(endpoint.backoff_until))
        elif later.has_room(ready):
            later.start(head)
            started.append(ready)
        elif not later.full and _may_wait(ready, waiting, busy.concurrency):
            waiting.append(ready)
        elif not later.full:
            slot = max(next_slots.get(host_of(head.url), now), now + SLOT_WAIT)
            next_slots[host_of(head.url)] = slot + SLOT_WAIT / busy.concurrency
            postpone.append(head.postponed(slot))
    return Plan(started + waiting, postpone, give_up, next_slots)


def endpoint_of(delivery: Delivery) -> str:
    """Return the id of a delivery's endpoint."""
    return endpoint_id(delivery.tenant, delivery.url)


def _due_heads(
    heads: Mapping[str, Delivery], endpoints: Mapping[str, Endpoint], busy: Busy, now: datetime
) -> Iterator[Ready]:
    for head in heads.values():
        if head.due_at and head.due_at <= now and head.job_id not in busy.jobs:
            yield Ready(head, endpoints.get(endpoint_of(head)) or new_endpoint(head.tenant, head.url))


def _behind_heads(
    due: Sequence[Delivery],
    heads: Mapping[str, Delivery],
    endpoints: Mapping[str, Endpoint],
    now: datetime,
) -> Iterator[Delivery]:
    """Yield the deliveries that wait for an earlier one, postponed: they take no place on the next page."""
    for delivery in due:
        head = heads.get(delivery.job_id)
        if head is None or head.id == delivery.id:
            continue
        endpoint = endpoints.get(endpoint_of(head))
        if endpoint is None or endpoint.state != "disabled":
            yield delivery.postponed(max(head.due_at or now, now) + BEHIND_HEAD)


def _may_wait(ready: Ready, waiting: Sequence[Ready], most: int) -> bool:
    """Return whether a delivery without a slot stays in memory until there is one."""
    host = host_of(ready.delivery.url)
    same_host = sum(host_of(each.delivery.url) == host for each in waiting)
    return ready.endpoint.state != "backing_off" and same_host < most
