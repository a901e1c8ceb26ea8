"""The notifier's ports in memory, and a harness that runs a notifier without servers."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI

from contracts.base import id_of
from contracts.generation import Notify
from contracts.jobs import Job, JobEvent
from services.notifier.app import build
from services.notifier.broadcaster import Broadcaster
from services.notifier.deliveries import Delivery, Outcome
from services.notifier.endpoints import Endpoint
from services.notifier.handlers import handlers
from services.notifier.links import LinkedEvents
from services.notifier.ports import Deliveries, DeliveryFilter, Endpoints, Jobs, Links, Submissions
from services.notifier.routes import routes
from services.notifier.sse import SseEncoder
from services.notifier.webhook_dispatcher import WebhookDispatcher
from services.notifier.webhook_routes import webhook_routes
from shared.envelope import Received
from shared.ids import uuid7
from tests.fakes.jobs import START, a_job, a_story
from tests.fakes.stand_in import StandIn
from tests.fakes.subscriptions import Handlers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANN = {"X-Tenant-Id": "acme", "X-User-Id": "ann"}


class Frame(NamedTuple):
    """One event as a browser receives it."""

    kind: str
    id: str | None
    data: dict[str, Any]


class FakeJobs(Jobs):
    """`jobs`, as the dispatcher writes them."""

    def __init__(self) -> None:
        self.kept: dict[str, Job] = {}
        self.reads = 0

    def put(self, job: Job) -> Job:
        self.kept[job.job_id] = job
        return job

    async def get(self, job_id: str) -> Job | None:
        self.reads += 1
        return self.kept.get(job_id)

    async def of_user(self, tenant: str, user_id: str, since: datetime, now: datetime) -> list[Job]:
        self.reads += 1
        jobs = [job for job in self.kept.values() if (job.tenant, job.user_id) == (tenant, user_id)]
        return [job for job in jobs if job.updated_at >= since or not job.terminal]

    async def webhooks(self, ids: Iterable[str]) -> dict[str, str]:
        jobs = [self.kept[job_id] for job_id in ids if job_id in self.kept]
        return {job.job_id: job.notify.webhook_url for job in jobs if job.notify.webhook_url}


class FakeSubmissions(Submissions):
    """`submissions`: tenants by job id."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def tenant_of(self, job_id: str) -> str | None:
        return self.kept.get(job_id)


class FakeLinks(Links):
    """Returns links without a signature."""

    async def signed_url(self, key: str, seconds: int = 3600) -> str:
        return f"https://bucket.example/{key}"


class FakeDeliveries(Deliveries):
    """`deliveries`."""

    def __init__(self) -> None:
        self.kept: dict[str, Delivery] = {}

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.kept.setdefault(delivery.id, delivery)

    async def known(self, ids: Iterable[str]) -> set[str]:
        return set(ids) & self.kept.keys()

    async def due(self, now: datetime, limit: int) -> list[Delivery]:
        due = {d.id: d.due_at for d in self._pending() if d.due_at and d.due_at <= now}
        return [self.kept[id_] for id_ in sorted(due, key=lambda id_: due[id_])[:limit]]

    async def heads(self, job_ids: Iterable[str]) -> dict[str, Delivery]:
        wanted = set(job_ids)
        first = sorted(self._pending(), key=lambda delivery: -delivery.seq)
        return {delivery.job_id: delivery for delivery in first if delivery.job_id in wanted}

    async def postpone(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            kept = self.kept[delivery.id]
            if _as_read(kept, delivery):
                self.kept[delivery.id] = kept.model_copy(update={"due_at": delivery.due_at})

    async def claim(self, delivery: Delivery, until: datetime) -> Delivery | None:
        kept = self.kept[delivery.id]
        if not _as_read(kept, delivery):
            return None
        self.kept[delivery.id] = kept.model_copy(update={"lease_until": until, "due_at": until})
        return self.kept[delivery.id]

    async def save(self, delivery: Delivery) -> None:
        self.kept[delivery.id] = delivery

    async def listed(self, wanted: DeliveryFilter, limit: int) -> list[Delivery]:
        found = [delivery for delivery in self.kept.values() if _matches(delivery, wanted)]
        return sorted(found, key=lambda delivery: delivery.created_at, reverse=True)[:limit]

    async def replay(self, wanted: DeliveryFilter, now: datetime, until: datetime) -> int:
        ended = [d for d in self.kept.values() if d.finished_at and _matches(d, wanted)]
        again = {"state": "pending", "attempts": 0, "due_at": now, "retry_until": until, "finished_at": None}
        self.kept |= {delivery.id: delivery.model_copy(update=again) for delivery in ended}
        return len(ended)

    def _pending(self) -> list[Delivery]:
        return [delivery for delivery in self.kept.values() if delivery.state == "pending"]


def _as_read(kept: Delivery, delivery: Delivery) -> bool:
    as_read = ("pending", delivery.attempts, delivery.lease_until)
    return (kept.state, kept.attempts, kept.lease_until) == as_read


def _matches(delivery: Delivery, wanted: DeliveryFilter) -> bool:
    fields = wanted.model_dump(exclude={"since"}, exclude_none=True)
    same = all(getattr(delivery, name) == value for name, value in fields.items())
    return same and (wanted.since is None or delivery.created_at >= wanted.since)


class FakeEndpoints(Endpoints):
    """`endpoints`."""

    def __init__(self) -> None:
        self.kept: dict[str, Endpoint] = {}

    async def of(self, ids: Iterable[str]) -> dict[str, Endpoint]:
        return {id_: self.kept[id_] for id_ in ids if id_ in self.kept}

    async def of_tenant(self, tenant: str) -> list[Endpoint]:
        return [endpoint for endpoint in self.kept.values() if endpoint.tenant == tenant]

    async def save(self, endpoint: Endpoint) -> None:
        self.kept[endpoint.id] = endpoint


class FakeReceiver:
    """Answers webhooks from `answers`, by URL, then with 200; one in `slow` waits for its event."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Outcome]] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.got: list[str] = []

    def will(self, url: str, *statuses: int) -> None:
        self.answers[url] = [Outcome(status=status) for status in statuses]

    async def post(self, delivery: Delivery) -> Outcome:
        self.got.append(delivery.id)
        if delivery.url in self.slow:
            await self.slow[delivery.url].wait()
        waiting = self.answers.get(delivery.url, [])
        return waiting.pop(0) if waiting else Outcome(status=200)


_PARTS = [StandIn() for _ in range(8)]


@cache
def _application(heartbeat_seconds: float) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    parts: list[Any] = list(_PARTS)
    broadcaster, jobs, submissions, encoder, deliveries, endpoints, wake, clock = parts
    streams = routes(broadcaster, jobs, submissions, encoder, clock, heartbeat_seconds)
    build(app, streams, webhook_routes(deliveries, endpoints, wake, SECRET, clock))
    return app


class NotifierHarness:
    """A notifier with fake ports. One at a time: all harnesses share one application."""

    def __init__(self, heartbeat_seconds: float = 3600.0) -> None:
        self.time = START + timedelta(seconds=30)
        self.broadcaster = Broadcaster()
        self.jobs = FakeJobs()
        self.submissions = FakeSubmissions()
        self.deliveries = FakeDeliveries()
        self.endpoints = FakeEndpoints()
        self.receiver = FakeReceiver()
        self.dispatcher = self.another_dispatcher()
        self.encoder = SseEncoder(LinkedEvents(FakeLinks(), self.now, 600))
        self._handlers = Handlers()
        handlers(self._handlers.subscribe, self.jobs, self.deliveries, self.now, self.dispatcher.wake)
        kept = self.deliveries, self.endpoints
        own = (
            self.broadcaster,
            self.jobs,
            self.submissions,
            self.encoder,
            *kept,
            self.dispatcher.wake,
            self.now,
        )
        for stand_in, part in zip(_PARTS, own, strict=True):
            stand_in.part = part
        self.app = _application(heartbeat_seconds)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=ANN)

    def another_dispatcher(self, concurrency: int = 8) -> WebhookDispatcher:
        return WebhookDispatcher(
            self.deliveries, self.endpoints, self.receiver.post, self.now, concurrency=concurrency
        )

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def say(self, *events: JobEvent) -> None:
        """Deliver events to every open stream, as the broadcast does."""
        self.broadcaster.deliver([received(event) for event in events])

    async def handle(self, *events: JobEvent) -> None:
        """Handle events as the consumer group does."""
        assert not await self._handlers.call("notifier", [received(event) for event in events])

    async def deliver(self) -> None:
        """Dispatch due deliveries and wait for the posts."""
        await self.dispatcher.dispatch_due()
        await self.dispatcher.idle()


def a_webhook_story(
    harness: NotifierHarness, *kinds: str, url: str = "https://shop.example/hook"
) -> tuple[JobEvent, ...]:
    """Return the events of a new job with a webhook."""
    job = harness.jobs.put(a_job(job_id=uuid7(), notify=Notify(webhook_url=url)))
    return a_story(*kinds, job_id=job.job_id, webhook=True)


def ids_of(*events: JobEvent) -> list[str]:
    """Return the ids of the events' deliveries."""
    return [f"{event.job_id}/{event.seq}" for event in events]


def received(event: JobEvent) -> Received[JobEvent]:
    return Received(event, id_of(event), event.topic, 0, 0, event.at, None, 0)


def frames_of(text: bytes | str) -> list[Frame]:
    """Return the events of a stream's text; comments and `retry` are left out."""
    whole = text.decode() if isinstance(text, bytes) else text
    frames = []
    for block in whole.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            frames.append(Frame(fields["event"], fields.get("id"), json.loads(fields["data"])))
    return frames
