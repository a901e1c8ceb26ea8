"""Composition root of a gateway, for any provider."""

from collections.abc import Callable
from functools import partial

import httpx

from services.gateways.kit.crash_points import refuse_unknown_point
from services.gateways.kit.inputs import Inputs, StoredInputs
from services.gateways.kit.provider import Provider, StreamsProgress
from services.gateways.runtime.executor import Executor
from services.gateways.runtime.handlers import handlers
from services.gateways.runtime.ledger.documents import INDEXES
from services.gateways.runtime.ledger.intake import LedgerIntake
from services.gateways.runtime.ledger.writes import Ledger
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.late_outcomes import LateOutcomes
from services.gateways.runtime.recovery.progress_stream import ProgressStream
from services.gateways.runtime.recovery.reconciler import Reconciler
from services.gateways.runtime.recovery.successor import take_over
from services.gateways.runtime.recovery.webhook_intake import AddRoutes, WebhookIntake
from services.gateways.runtime.scheduling.circuit_announcements import HEALTH_INDEXES, CircuitAnnouncements
from services.gateways.runtime.scheduling.engine import Engine
from services.gateways.runtime.scheduling.rate import Rate
from services.gateways.runtime.scheduling.slot_allocation import SlotAllocation
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared import mongo
from shared.http.client import http_client
from shared.ids import uuid7
from shared.loops import every
from shared.mongo import Database
from shared.mongo.leases import Lease
from shared.outbox import MongoOutboxStore, Outbox
from shared.s3 import open_bucket
from shared.service import Service
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings

HOUSEKEEPING_SECONDS = 1.0

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
        attempts, role = database["attempts"], f"gateway-{provider.name}"
        self._attempts = attempts
        self._limits = limits
        self._service = service
        self._ledger = Ledger(attempts)
        self._lease = Lease(
            database["gateway_leases"],
            role,
            on_owner_expired=self._take_over,
            on_lost=self._lost,
            patience_seconds=limits.takeover_patience,
        )
        announce = CircuitAnnouncements(
            provider.name, uuid7(), database["provider_health"], service.publisher
        )
        self._gate = SubmissionGate(rate=Rate(limits.submits_per_second), announce=announce)
        self._executor = Executor(provider, self._ledger, self._lease, service.publisher, limits, self._gate)
        self._allocation = SlotAllocation(database["gateway_shares"], role, limits.slots)
        self._engine = Engine(self._executor.step, 0, self._gate.admission_delay, limits.max_in_memory)
        handlers(service.subscribe, provider, LedgerIntake(attempts), self._engine, self._lease, self._gate)
        self._webhooks = WebhookIntake(attempts, provider.name, self._engine)
        if add_routes is not None:
            add_routes(service.http, self._webhooks)
        self._declare_loops(provider)

    def _declare_loops(self, provider: Provider) -> None:
        service, engine, executor = self._service, self._engine, self._executor
        outbox = Outbox(MongoOutboxStore(self._attempts), service.publisher)
        late_outcomes = LateOutcomes(self._attempts, provider, service.publisher.source)
        reconciler = Reconciler(self._attempts, provider, engine, self._lease, executor, self._limits)
        housekeeping = partial(every, HOUSEKEEPING_SECONDS, self._housekeep, name="housekeeping")
        service.background("lease", self._lease.run)
        service.background("engine", engine.run)
        service.background("outbox", outbox.run)
        service.background("housekeeping", housekeeping)
        service.background("late outcomes", late_outcomes.run)
        service.background("reconciliation", reconciler.run)
        if isinstance(provider, StreamsProgress):
            stream = ProgressStream(provider, engine, executor.publish_progress, reconciler.request)
            service.background("progress stream", stream.listen)
            service.background("progress", stream.publish)

    async def run(self) -> None:
        """Take a lease, work, and release the lease."""
        await self._lease.take()
        await self._lease.expire_others()  # takeover runs beside the regular work
        await self._rebalance()
        await self._service.run()
        await self._lease.release()

    async def _take_over(self, expired: str) -> None:
        poll_within = self._executor.limits.min_poll_interval
        await take_over(self._attempts, expired, self._lease, self._engine, poll_within)

    async def _rebalance(self) -> None:
        """Agree with the other processes on the slots and the rate of each."""
        alive = self._lease.alive | {self._lease.owner}
        engine, allocation = self._engine, self._allocation
        await allocation.rebalance(self._lease.owner, alive, lambda: engine.in_flight, engine.resize)
        if self._limits.submits_per_second and allocation.mine:
            part = allocation.mine / self._limits.slots
            self._gate.rate.per_second = self._limits.submits_per_second * part

    async def _lost(self) -> None:
        self._engine.drop_all()

    async def _housekeep(self) -> None:
        """Remove published outbox entries; collect cancels and webhooks that reached another process."""
        await self._ledger.remove_published()
        await self._webhooks.collect(self._lease.owner)
        await self._rebalance()
