"""The api's ports in memory, and a harness that runs an api without servers."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from functools import cache
from typing import Any, cast

import httpx
from fastapi import FastAPI

from contracts.chains import Chain
from contracts.characters import CharacterRecord
from contracts.jobs import Job
from prompts.catalogue import default_catalogue
from services.api.app import build
from services.api.chain_queries import ChainQueries
from services.api.domain import Accepted
from services.api.job_queries import JobQueries
from services.api.ports import (
    Assets,
    ChainStore,
    Commands,
    JobQuery,
    Jobs,
    Links,
    PageQuery,
    Preview,
    Submissions,
)
from services.api.submission_service import SubmissionService
from shared.clock import now
from shared.outbox import Outbox, OutboxEntry
from tests.fakes.outbox import FakeBroker, FakeOutboxStore
from tests.fakes.stand_in import StandIn

ACME = {"X-Tenant-Id": "acme", "X-User-Id": "ann"}
OTHER = {"X-Tenant-Id": "other", "X-User-Id": "ann"}


class FakeSubmissions(Submissions):
    """`submissions` with its two unique keys."""

    def __init__(self) -> None:
        self.outbox = FakeOutboxStore()
        self.kept: dict[str, Accepted] = {}
        self.failure: Exception | None = None
        self.planned: set[str] = set()
        self.stored: set[str] = set()
        self.read = 0

    async def add(self, accepted: Accepted, outbox: dict[str, Any]) -> bool:
        if self.failure:
            raise self.failure
        if await self.known(accepted):
            return False
        self.kept[accepted.job_id] = accepted
        self.outbox.entries[accepted.job_id] = OutboxEntry.model_validate(outbox)
        return True

    async def known(self, accepted: Accepted) -> list[Accepted]:
        key = accepted.idempotency_key
        by_key = [
            other
            for other in self.kept.values()
            if key is not None and (other.tenant, other.idempotency_key) == (accepted.tenant, key)
        ]
        by_id = [other for other in self.kept.values() if other.job_id == accepted.job_id]
        return by_key + by_id

    async def get(self, job_id: str) -> Accepted | None:
        return self.kept.get(job_id)

    async def of_tenant(self, tenant: str, job_ids: Iterable[str]) -> dict[str, Accepted]:
        found = [self.kept[each] for each in job_ids if each in self.kept]
        return {each.job_id: each for each in found if each.tenant == tenant and each.is_job}

    async def storing(self, tenant: str, character_id: str) -> Accepted | None:
        wanted = (tenant, character_id)
        found = [each for each in self.kept.values() if (each.tenant, each.character_id) == wanted]
        order = lambda it: (it.chain_id is not None, it.requested_at)  # noqa: E731 - a choice precedes a creation
        return max((each for each in found if each.character), key=order, default=None)

    async def unplanned(self, query: JobQuery) -> list[Accepted]:
        self.read += 1
        unmarked = [other for other in self.kept.values() if other.job_id not in self.planned]
        unmarked = [other for other in unmarked if not other.planned]
        return _newest([other for other in unmarked if _matches(other, query)], query)

    async def mark_planned(self, job_ids: Collection[str]) -> None:
        self.planned |= set(job_ids)

    async def pending_characters(self, query: PageQuery) -> list[Accepted]:
        self.read += 1
        before = query.before
        found = [
            each
            for each in self._pending(query.tenant)
            if query.user_id in (None, each.user_id)
            and (before is None or (each.requested_at, each.character_id or "") < before)
        ]
        return sorted(found, key=lambda it: (it.requested_at, it.character_id or ""), reverse=True)[
            : query.limit
        ]

    async def pending_of(self, tenant: str, character_ids: Iterable[str]) -> list[Accepted]:
        wanted = set(character_ids)
        return [each for each in self._pending(tenant) if each.character_id in wanted]

    def _pending(self, tenant: str) -> list[Accepted]:
        unmarked = [each for each in self.kept.values() if each.job_id not in self.stored]
        return [each for each in unmarked if each.tenant == tenant and each.character]

    async def mark_stored(self, job_ids: Collection[str]) -> None:
        self.stored |= set(job_ids)


class FakeCommands(Commands):
    """`commands`."""

    def __init__(self) -> None:
        self.outbox = FakeOutboxStore()

    async def add(self, command_id: str, tenant: str, outbox: dict[str, Any]) -> None:
        self.outbox.entries[command_id] = OutboxEntry.model_validate(outbox)


class FakeChainStore(ChainStore):
    """`chains` and `characters`, as the characters service writes them."""

    def __init__(self) -> None:
        self.chains: dict[str, Chain] = {}
        self.characters: dict[tuple[str, str], CharacterRecord] = {}

    async def chain(self, chain_id: str) -> Chain | None:
        return self.chains.get(chain_id)

    def put(self, record: CharacterRecord) -> None:
        self.characters[record.tenant, record.character_id] = record

    async def character(self, tenant: str, character_id: str) -> CharacterRecord | None:
        return self.characters.get((tenant, character_id))

    async def characters_of(self, tenant: str, ids: Iterable[str]) -> dict[str, CharacterRecord]:
        return {each: self.characters[tenant, each] for each in ids if (tenant, each) in self.characters}

    async def page(self, query: PageQuery) -> list[CharacterRecord]:
        found = [
            each
            for each in self.characters.values()
            if each.tenant == query.tenant
            and query.user_id in (None, each.user_id)
            and (query.before is None or (each.created_at, each.character_id) < query.before)
        ]
        return sorted(found, key=lambda it: (it.created_at, it.character_id), reverse=True)[: query.limit]


class FakeJobs(Jobs):
    """`jobs`, as the dispatcher writes them."""

    def __init__(self) -> None:
        self.kept: dict[str, Job] = {}

    def put(self, job: Job) -> Job:
        self.kept[job.job_id] = job
        return job

    async def get(self, job_id: str) -> Job | None:
        return self.kept.get(job_id)

    async def page(self, query: JobQuery) -> list[Job]:
        found = [job for job in self.kept.values() if _matches(job, query)]
        return _newest([job for job in found if query.status in (None, job.status)], query)

    async def existing(self, ids: Iterable[str]) -> set[str]:
        return set(ids) & self.kept.keys()

    async def of_tenant(self, tenant: str, ids: Iterable[str]) -> dict[str, Job]:
        found = [self.kept[each] for each in ids if each in self.kept]
        return {each.job_id: each for each in found if each.tenant == tenant}


class FakeAssets(Assets):
    """`assets`."""

    def __init__(self) -> None:
        self.kept: dict[str, Preview] = {}

    async def previews(self, ids: Iterable[str]) -> dict[str, Preview]:
        return {key: self.kept[key] for key in ids if key in self.kept}


class FakeLinks(Links):
    """Signs by counting, so that a fresh link differs from the last."""

    def __init__(self) -> None:
        self.signed = 0

    async def signed_url(self, key: str, seconds: int = 3600) -> str:
        self.signed += 1
        return f"https://bucket.example/{key}?signature={self.signed}"


_SUBMISSION_SERVICE, _JOB_QUERIES, _CHAIN_QUERIES = StandIn(), StandIn(), StandIn()


@cache
def _application() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    build(
        app,
        cast(SubmissionService, _SUBMISSION_SERVICE),
        cast(JobQueries, _JOB_QUERIES),
        cast(ChainQueries, _CHAIN_QUERIES),
    )
    return app


class ApiHarness:
    """An api with fake ports. One at a time: all harnesses share one application."""

    def __init__(self) -> None:
        self.time = now()
        self.broker = FakeBroker()
        self.jobs = FakeJobs()
        self.submissions = FakeSubmissions()
        self.commands = FakeCommands()
        self.chains = FakeChainStore()
        self.assets = FakeAssets()
        self.outboxes = (
            Outbox(self.submissions.outbox, self.broker),
            Outbox(self.commands.outbox, self.broker),
        )
        clock = lambda: self.time  # noqa: E731 - the harness changes its time
        stores = (self.jobs, self.chains, self.submissions, self.commands)
        _SUBMISSION_SERVICE.part = SubmissionService(*stores, self.outboxes, clock, default_catalogue())
        _JOB_QUERIES.part = JobQueries(self.jobs, self.submissions, self.assets, FakeLinks(), clock, 600)
        _CHAIN_QUERIES.part = ChainQueries(self.chains, self.submissions)
        self.app = _application()
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://api", headers=ACME)

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    async def submit(
        self, path: str = "/v1/studio", /, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        body = {"character": {"name": "Mia", "age": 27}} | fields
        return await self.http.post(path, json=body, headers=headers)

    async def sweep(self) -> int:
        """Publish every outbox entry, of any age."""
        return sum([await outbox.sweep(timedelta(days=-36500)) for outbox in self.outboxes])


def _matches(item: Accepted | Job, query: JobQuery) -> bool:
    return (
        item.tenant == query.tenant
        and query.type in (None, item.type)
        and query.user_id in (None, item.user_id)
        and (query.before is None or (item.requested_at, item.job_id) < query.before)
    )


def _newest(items: list[Any], query: JobQuery) -> list[Any]:
    return sorted(items, key=lambda item: (item.requested_at, item.job_id), reverse=True)[: query.limit]
