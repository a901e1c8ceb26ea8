"""One whole gateway process around a real adapter and its simulator, and notes of all that is sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from contracts.base import Message
from contracts.base import Provider as ProviderName
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.local.simulators.serving import running
from services.gateways.fal.adapter import FalProvider, handle_of
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.signatures import Keys
from services.gateways.fal.webhooks import WebhookUrls, webhook_routes
from services.gateways.runtime import gateway as runtime
from services.gateways.runtime.app import Process
from services.gateways.runtime.attempt import Attempt
from services.gateways.runtime.provider import Handle, Order, Pace, Payload, Provider
from services.gateways.runtime.pushes import AddRoutes
from shared.mongo import Database
from tests.fakes.adapters import KEY, Rig, Wrap, a_rig, an_adapter, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

TAKEN = "taken"
LEASE_WAIT = 0.1
"""In place of the ten seconds that a request of a dying process may be under way."""
CLOSED = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Sent:
    """One submission as the adapter saw it: `outcome` is TAKEN or the error's name."""

    attempt_id: str
    outcome: str
    at: float


@dataclass
class House:
    """A process, the database and broker it uses, and the simulator that it talks to."""

    rig: Rig
    attempts: FakeCollection = field(default_factory=FakeCollection)
    leases: FakeCollection = field(default_factory=FakeCollection)
    sent: list[Sent] = field(default_factory=list)
    service: FakeService = field(init=False)
    publisher: FakePublisher = field(init=False)
    taken: int = 0
    """Submissions in the provider's books, once the process has left."""

    def __post_init__(self) -> None:
        self.publisher = FakePublisher(f"gateway-{self.rig.name}")
        self.service = FakeService(self.publisher)

    async def deliver(self, message: Message) -> None:
        await self.service.deliver(message)

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        """What the ledger has of it."""
        return self.attempts.kept.get(command.attempt_id, {"state": "not taken in"})

    async def reach(self, command: RenderRequested, state: str) -> None:
        """Wait for a state in the ledger."""
        await until(lambda: self.entry(command)["state"] == state, seconds=10)

    async def reach_running(self, command: RenderRequested) -> None:
        """Wait until the ledger has the handle and the provider works on it."""
        await self.reach(command, "submitted")
        async with asyncio.timeout(10):
            while [entry["state"] for entry in await self.rig.books()] != ["running"]:
                await asyncio.sleep(0.005)

    async def webhooks(self) -> list[Any]:
        """What Fal's webhooks were answered, in order."""
        return [delivery["result"] for delivery in (await self.rig.http.get("/_sim/webhooks")).json()]

    async def heard(self, count: int) -> None:
        """Wait until so many webhooks were delivered."""
        async with asyncio.timeout(10):
            while len(await self.webhooks()) < count:
                await asyncio.sleep(0.01)

    async def end(self, command: RenderRequested) -> None:
        """Wait until the ledger has its end and, but for a cancelled one, the message is said."""
        await until(lambda: self.entry(command)["state"] == "cancelled" or self.said(), seconds=15)

    def said(self) -> list[str]:
        """All ends that were announced, in words."""
        done = ["succeeded" for _ in self.publisher.said(RenderSucceeded)]
        return done + [
            f"failed: {failure.code}{', retryable' if failure.retryable else ''}"
            for failure in self.publisher.said(RenderFailed)
        ]

    def note(self, monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
        """From now on every submission of this adapter is written down."""
        submit, clock = provider.submit, asyncio.get_running_loop().time

        async def noted(order: Order, payload: Payload) -> Handle:
            at = clock()
            try:
                handle = await submit(order, payload)
            except Exception as error:
                self.sent.append(Sent(order.attempt_id, type(error).__name__, at))
                raise
            self.sent.append(Sent(order.attempt_id, TAKEN, at))
            return handle

        monkeypatch.setattr(provider, "submit", noted)

    async def check_books(self) -> int:
        """Every submission at the provider is of exactly one ledger entry; returns how many there are."""
        books = await self._books_at_rest()
        owners: dict[str, list[str]] = {}
        for attempt_id, entry in self.attempts.kept.items():
            if "command" in entry:
                order = Attempt(RenderRequested.model_validate(entry["command"]), trace=None).order
                name = attempt_id if self.rig.name == "fal" else order.uuid
                owners.setdefault(name, []).append(attempt_id)
        for submission in books:
            assert len(owners.get(submission["our_id"], [])) == 1, f"nobody's, or of many: {submission}"
        known = {entry.get("external_id") for entry in self.attempts.kept.values()} - {None}
        assert known <= {submission["id"] for submission in books}, "the ledger names what was taken"
        assert {submission["asked"] for submission in books} <= {1}, "nothing had to be de-duplicated"
        return len(books)

    async def _books_at_rest(self) -> list[dict[str, Any]]:
        """The books once nothing goes on at the provider: what has ended for us must not run on there."""
        async with asyncio.timeout(5):
            while True:
                books = await self.rig.books()
                if not {entry["state"] for entry in books} & {"queued", "running"}:
                    return books
                await asyncio.sleep(0.01)

    def check_sent(self) -> int:
        """What was taken was never sent again, and the ledger counted all; returns how often was sent."""
        for earlier, later in zip(self.sent, self.sent[1:], strict=False):
            again = earlier.attempt_id == later.attempt_id
            assert not (again and earlier.outcome == TAKEN), f"sent twice: {self.sent}"
        counted = {key: entry["submissions"] for key, entry in self.attempts.kept.items()}
        assert +Counter(counted) == Counter(sent.attempt_id for sent in self.sent)
        return len(self.sent)


@asynccontextmanager
async def a_house(
    name: ProviderName,
    monkeypatch: pytest.MonkeyPatch,
    *,
    pace: Pace,
    timeout: float,
    closed: bool,
    wrap: Wrap,
    behaviour: dict[str, Any],
) -> AsyncIterator[House]:
    """A running gateway process; `closed`: at the provider's address nobody listens."""
    monkeypatch.setattr(runtime, "LEASE_SECONDS", LEASE_WAIT)
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(a_rig(name, wrap=wrap, **behaviour))
        http = await stack.enter_async_context(quick_client(timeout))
        url = CLOSED if closed else rig.url
        house = House(rig)
        provider, routes = an_adapter(name, http, url, rig.inputs), None
        if name == "fal":
            door = FastAPI()
            front = await stack.enter_async_context(running(door))
            provider, routes = _fal(http, url, front, rig)
            door.mount("/", house.service.http)
        house.note(monkeypatch, provider)
        async with _process(house, provider, pace, routes):
            yield house
        house.taken = await house.check_books()


def _fal(http: httpx.AsyncClient, url: str, front: str, rig: Rig) -> tuple[Provider, AddRoutes]:
    settings = FalSettings(key=SecretStr(KEY), queue_url=url, rest_url=url)
    urls = WebhookUrls(front, b"the-secret")
    routes = webhook_routes(urls, Keys(http, url), partial(handle_of, settings), None)
    return FalProvider(http, settings, rig.inputs, urls.of), routes


@asynccontextmanager
async def _process(
    house: House, provider: Provider, pace: Pace, routes: AddRoutes | None
) -> AsyncIterator[None]:
    """It leaves in order, so that afterwards nothing is in hand."""
    names = ("provider_health", "gateway_shares")
    database = {name: FakeCollection() for name in names}
    database |= {"attempts": house.attempts, "gateway_leases": house.leases}
    process = Process(provider, pace, cast(Database, database), house.service.service, routes)
    task = asyncio.create_task(process.run())
    await until(lambda: house.leases.kept)
    yield
    house.service.stop()
    await task
