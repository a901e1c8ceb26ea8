"""The one place where a gateway's parts meet, whichever its provider."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx
import structlog

from services.gateways.kit.crash_points import crash_point, refuse_unknown_point
from services.gateways.kit.inputs import Inputs, StoredInputs
from services.gateways.kit.provider import ListsUnfinished, Provider, ProviderLimits, StreamsProgress
from services.gateways.runtime.gateway import Gateway
from services.gateways.runtime.handlers import handlers
from services.gateways.runtime.ledger.ledger import INDEXES, Ledger
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.recovery.bulk_status_check import BulkStatusCheck
from services.gateways.runtime.recovery.late_outcomes import LateOutcomes
from services.gateways.runtime.recovery.progress_stream import ProgressStream
from services.gateways.runtime.recovery.reconciler import Reconciler
from services.gateways.runtime.recovery.webhook_intake import AddRoutes, WebhookIntake
from services.gateways.runtime.scheduling.engine import Engine
from services.gateways.runtime.scheduling.slot_allocation import SlotAllocation
from services.gateways.runtime.scheduling.submission_gate import (
    HEALTH_INDEXES,
    Announcements,
    Rate,
    SubmissionGate,
)
from shared import mongo
from shared.http.client import http_client
from shared.ids import uuid7
from shared.loops import every
from shared.mongo import IN_PAGE, Database
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings

log = structlog.get_logger()

TIDY_SECONDS = 1.0

MakeProvider = Callable[[httpx.AsyncClient, Inputs], Provider]
MakeRoutes = Callable[[httpx.AsyncClient], AddRoutes | None]


async def serve_gateway(
    make_provider: MakeProvider,
    limits: ProviderLimits,
    kafka: KafkaSettings,
    process: ProcessSettings,
    name: str,
    make_routes: MakeRoutes | None = None,
) -> None:
    """Run one gateway process for the provider that `make_provider` makes."""
    refuse_unknown_point()
    async with (
        Service(f"gateway-{name}", kafka, process) as service,
        mongo.connect(read_settings(MongoSettings), service.waits_for) as database,
        open_bucket(read_settings(S3Settings), service.waits_for) as bucket,
        http_client(timeout_seconds=limits.submit_timeout) as http,
    ):
        await mongo.ensure_indexes(database["attempts"], *INDEXES, report=service.waits_for)
        await mongo.ensure_indexes(database["provider_health"], *HEALTH_INDEXES, report=service.waits_for)
        service.health.add("mongo", partial(mongo.ping, database))
        provider = make_provider(http, StoredInputs(database["assets"], bucket))
        add_routes = make_routes(http) if make_routes else None
        gateway = Process(provider, limits, database, service, add_routes)
        await gateway.run()


class Process:
    """One process of a gateway: its lease, its attempts, its loops."""

    def __init__(
        self,
        provider: Provider,
        limits: ProviderLimits,
        database: Database,
        service: Service,
        add_routes: AddRoutes | None = None,
    ) -> None:
        self._attempts = database["attempts"]
        self._ledger = Ledger(self._attempts)
        outbox = Outbox(MongoOutboxStore(self._attempts), service.publisher)
        self._lease = Lease(
            database["gateway_leases"],
            f"gateway-{provider.name}",
            on_owner_expired=self._take_over,
            on_lost=self._lost,
            patience_seconds=limits.takeover_patience,
        )
        told = Announcements(provider.name, uuid7(), database["provider_health"], service.publisher)
        self._gate = SubmissionGate(rate=Rate(limits.submits_per_second), told=told)
        gateway = Gateway(provider, self._ledger, self._lease, service.publisher, limits, self._gate)
        self._gateway = gateway
        self._pace = limits
        self._shares = SlotAllocation(database["gateway_shares"], f"gateway-{provider.name}", limits.slots)
        self._engine = Engine(gateway.step, 0, self._gate.admission_delay, limits.max_in_memory)
        self._service = service
        handlers(service.subscribe, provider, self._ledger, self._engine, self._lease, self._gate)
        service.background("lease", self._lease.run)
        service.background("engine", self._engine.run)
        service.background("outbox", outbox.run)
        service.background("tidying", partial(every, TIDY_SECONDS, self._tidy, name="tidying"))
        late_outcomes = LateOutcomes(self._attempts, provider, service.publisher.source)
        reconciling = Reconciler(
            self._attempts, provider, self._ledger, self._engine, self._lease, limits.reconcile_interval
        )
        service.background("late ends", late_outcomes.run)
        service.background("reconciliation", reconciling.run)
        self._pushes = WebhookIntake(self._attempts, provider.name, self._engine)
        if add_routes is not None:
            add_routes(service.http, self._pushes)
        if isinstance(provider, StreamsProgress):
            progress_hints = ProgressStream(provider, self._engine, gateway)
            service.background("hints", progress_hints.listen)
            service.background("progress", progress_hints.tell)
        elif isinstance(provider, ListsUnfinished):
            service.background("roll call", BulkStatusCheck(provider, self._engine, gateway, limits).run)

    async def run(self) -> None:
        """Take a lease, work, leave in order."""
        await self._lease.take()
        await self._lease.expire_others()  # takeover runs beside the regular work
        await self._take_share()
        await self._service.run()
        await self._lease.release()

    async def _take_over(self, dead: str) -> None:
        """As much as there is room for; the rest at the next look, here or in another process."""
        taken = 0
        async for page in _pages(self._ledger.held_by(dead)):
            if self._engine.full:
                break
            taken += await self._inherit(page, dead)
        else:
            await self._lease.forget(dead)
        if taken:
            log.info("attempts_taken_over", dead=dead, attempts=taken)

    async def _inherit(self, page: list[Attempt], dead: str) -> int:
        owner = self._lease.owner
        taken = await self._ledger.take_over(page, dead, owner)
        if taken:
            crash_point("during_takeover")
        if owner != self._lease.owner:
            return 0  # declared dead meanwhile: all that was ours is taken over anew
        self._engine.add(taken, within=self._gateway.min_poll_interval)
        return len(taken)

    async def _take_share(self) -> None:
        """Agree with the other processes on who uses how many slots, and how fast."""
        alive = self._lease.alive | {self._lease.owner}
        engine = self._engine
        await self._shares.rebalance(self._lease.owner, alive, lambda: engine.in_flight, engine.resize)
        if self._pace.submits_per_second and self._shares.mine:
            part = self._shares.mine / self._pace.slots
            self._gate.rate.per_second = self._pace.submits_per_second * part

    async def _lost(self) -> None:
        self._engine.drop_all()

    async def _tidy(self) -> None:
        """Remove published outbox entries; pick up cancels and pushes that reached another process."""
        await self._ledger.remove_published()
        await self._pushes.notice(self._lease.owner)
        await self._take_share()


async def _pages(attempts: AsyncIterator[Attempt]) -> AsyncIterator[list[Attempt]]:
    page: list[Attempt] = []
    async for attempt in attempts:
        page.append(attempt)
        if len(page) == IN_PAGE:
            yield page
            page = []
    if page:
        yield page
