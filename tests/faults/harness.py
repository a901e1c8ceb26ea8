"""One whole gateway process around a real adapter and its simulator, and the result-store behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from contracts.base import Message
from contracts.base import Provider as ProviderName
from contracts.renders import RenderFailed, RenderRequested, ResultStored
from deploy.simulators.serving import running
from services.gateways.fal.adapter import FalProvider, ref_of
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.signatures import Keys
from services.gateways.fal.webhooks import WebhookUrls, webhook_routes
from services.gateways.kit.provider import AttemptRequest, Payload, Provider, SubmissionRef
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.recovery.webhook_intake import AddRoutes
from shared.mongo import Database
from tests.fakes.adapters import KEY, AdapterHarness, an_adapter, an_adapter_harness, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until
from tests.faults.accounting import TAKEN, Account, Entry, Sent, Submission
from tests.faults.addresses import door, nobodys
from tests.faults.between import Between
from tests.faults.rows import Fault
from tests.faults.storing import Broker, ResultStore

M = TypeVar("M", bound=Message)
FETCH_SILENCE = 5.0
QUICK_CONNECT = 0.3
"""How long a connection may take where none can be made."""


@dataclass
class ProcessHarness:
    """A process, the database and broker it uses, and the simulator that it talks to."""

    adapter: AdapterHarness
    attempts: FakeCollection = field(default_factory=FakeCollection)
    leases: FakeCollection = field(default_factory=FakeCollection)
    sent: list[Sent] = field(default_factory=list)
    between: Between = field(default_factory=lambda: Between((), ""))
    unknown_ids: list[str] = field(default_factory=list)
    """Requests to a host that must never be called."""
    service: FakeService = field(init=False)
    publisher: Broker = field(init=False)
    store: ResultStore = field(init=False)
    submission_log: list[dict[str, Any]] = field(default_factory=list)
    """Submissions that the provider accepted, after the process has left."""

    def __post_init__(self) -> None:
        self.publisher = Broker(f"gateway-{self.adapter.name}")
        self.service = FakeService(self.publisher)

    async def deliver(self, message: Message) -> None:
        await self.service.deliver(message)

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        """Return the ledger's document."""
        return self.attempts.kept.get(command.attempt_id, {"state": "not taken in"})

    async def reach(self, command: RenderRequested, state: str) -> None:
        """Wait for a state in the ledger."""
        await until(lambda: self.entry(command)["state"] == state, seconds=10)

    async def at_the_provider(self, *states: str) -> None:
        """Wait until these are the states of all submissions there, in order."""
        async with asyncio.timeout(10):
            while [entry["state"] for entry in await self.adapter.submission_log()] != list(states):
                await asyncio.sleep(0.005)

    async def webhooks(self) -> list[Any]:
        """Return the results of Fal's webhooks, in order."""
        return [delivery["result"] for delivery in (await self.adapter.http.get("/_sim/webhooks")).json()]

    async def heard(self, count: int) -> None:
        """Wait until so many webhooks were delivered."""
        async with asyncio.timeout(10):
            while len(await self.webhooks()) < count:
                await asyncio.sleep(0.01)

    async def end(self, command: RenderRequested) -> None:
        """Wait until the ledger has the end and, unless it was cancelled, the last message is published."""
        await until(
            lambda: self.entry(command)["state"] == "cancelled" or self._ends(attempt_id=command.attempt_id),
            seconds=30,
        )

    def said(self, command: RenderRequested) -> list[str]:
        """Return the final messages about a job, from the gateway or the result-store."""
        return self._ends(job_id=command.job_id)

    def failures(self, command: RenderRequested) -> list[RenderFailed]:
        """Return the failures that the gateway published about a job."""
        return _told(self.publisher, RenderFailed, job_id=command.job_id)

    def _ends(self, **of: str) -> list[str]:
        words = [
            f"failed: {failure.code}{', retryable' if failure.retryable else ''}"
            for source in (self.publisher, self.store.publisher)
            for failure in _told(source, RenderFailed, **of)
        ]
        stored = _told(self.store.publisher, ResultStored, **of)
        return words + ["stored, a duplicate" if each.duplicate else "stored" for each in stored]

    def note(self, monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
        """From now on every submission of this adapter is written down."""
        submit, clock = provider.submit, asyncio.get_running_loop().time

        async def noted(request: AttemptRequest, payload: Payload) -> SubmissionRef:
            at = clock()
            try:
                ref = await submit(request, payload)
            except Exception as error:
                self.sent.append(Sent(request.attempt_id, type(error).__name__, at))
                raise
            self.sent.append(Sent(request.attempt_id, TAKEN, at))
            return ref

        monkeypatch.setattr(provider, "submit", noted)

    async def close_books(self) -> None:
        """Wait until nothing goes on at the provider: what has ended for us must not run on there."""
        async with asyncio.timeout(5):
            while {entry["state"] for entry in await self.adapter.submission_log()} & {"queued", "running"}:
                await asyncio.sleep(0.01)
        self.submission_log = await self.adapter.submission_log()

    @property
    def account(self) -> Account:
        """Ledger and submissions. Fal knows an attempt by its id in the webhook's URL, others by our key."""
        entries = [
            Entry(
                key,
                key if self.adapter.name == "fal" or "command" not in entry else _uuid_of(entry),
                entry["state"],
                entry["billed"],
                entry["submissions"],
                entry.get("external_id"),
            )
            for key, entry in self.attempts.kept.items()
        ]
        taken = [Submission(submission["id"], submission["our_id"]) for submission in self.submission_log]
        return Account(tuple(entries), tuple(taken), tuple(self.sent))


def _told(publisher: FakePublisher, kind: type[M], **of: str) -> list[M]:
    """The messages of one kind about something, in order, each once: brokers may have them twice."""
    told = {
        sent.id: kind.model_validate_json(sent.body) for sent in publisher.sent if sent.topic == kind.topic
    }
    return [each for each in told.values() if all(getattr(each, name) == value for name, value in of.items())]


def _uuid_of(entry: dict[str, Any]) -> str:
    return Attempt(RenderRequested.model_validate(entry["command"]), trace=None).request.idempotency_key


@asynccontextmanager
async def a_process_harness(
    name: ProviderName, monkeypatch: pytest.MonkeyPatch, *, fault: Fault, limits: ProviderLimits
) -> AsyncIterator[ProcessHarness]:
    """A running gateway process, and a result-store that fetches what it announces."""
    lost = {} if fault.webhooks else {"webhook_lost_rate": 1.0}
    unknown_ids: list[str] = []
    async with AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(nobodys(unknown_ids))
        between = Between(fault.spoils, elsewhere)
        adapter = await stack.enter_async_context(
            an_adapter_harness(name, wrap=between.before, **(lost | fault.behaviour))
        )
        url = stack.enter_context(door(fault.door, adapter.url))
        connect = 5.0 if fault.door == "open" else QUICK_CONNECT
        http = await stack.enter_async_context(quick_client(fault.timeout, connect))
        fetching = await stack.enter_async_context(quick_client(FETCH_SILENCE))
        harness = ProcessHarness(adapter, between=between, unknown_ids=unknown_ids)
        harness.store = ResultStore(adapter.url, fetching, harness.publisher, fault.fetch_seconds)
        provider, routes = an_adapter(name, http, url, adapter.inputs), None
        if name == "fal":
            front = FastAPI()
            front_url = await stack.enter_async_context(running(front))
            provider, routes = _fal(http, url, front_url, adapter)
            front.mount("/", harness.service.http)
        harness.note(monkeypatch, provider)
        async with harness.store.running(), _process(harness, provider, limits, routes):
            yield harness
        await harness.close_books()


def _fal(
    http: httpx.AsyncClient, url: str, front: str, adapter: AdapterHarness
) -> tuple[Provider, AddRoutes]:
    settings = FalSettings(key=SecretStr(KEY), queue_url=url, rest_url=url)
    urls = WebhookUrls(front, b"the-secret")
    routes = webhook_routes(urls, Keys(http, url), partial(ref_of, settings), None)
    return FalProvider(http, settings, adapter.inputs, urls.of), routes


@asynccontextmanager
async def _process(
    harness: ProcessHarness, provider: Provider, limits: ProviderLimits, routes: AddRoutes | None
) -> AsyncIterator[None]:
    """It leaves in order, so that afterwards nothing is in hand."""
    names = ("provider_health", "gateway_shares")
    database = {name: FakeCollection() for name in names}
    database |= {"attempts": harness.attempts, "gateway_leases": harness.leases}
    process = Process(provider, limits, cast(Database, database), harness.service.service, routes)
    task = asyncio.create_task(process.run())
    await until(lambda: harness.leases.kept)
    try:
        yield
    finally:
        harness.service.stop()
        await task
