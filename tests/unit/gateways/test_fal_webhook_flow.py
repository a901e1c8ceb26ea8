"""A gateway and a simulated Fal that calls its webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from deploy.simulators.serving import running
from services.gateways.fal.adapter import FalProvider, ref_of
from services.gateways.fal.settings import FalSettings
from services.gateways.fal.signatures import (
    Keys,
)
from services.gateways.fal.webhooks import WebhookUrls, webhook_routes
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.mongo import Database
from tests.fakes.adapters import AdapterHarness, an_adapter_harness, quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_command
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

SECRET = b"the-secret"
RARELY = ProviderLimits(slots=50, first_poll_interval=60.0, max_poll_interval=60.0, submit_timeout=5.0)
"""Limits with rare polls: an early end comes from a webhook."""
NEVER_SETTLED = ProviderLimits(slots=50, first_poll_interval=0.01, grace_period=60.0, submit_timeout=5.0)
"""Limits under which an unknown outcome is not resolved by time."""


class ProcessHarness:
    """Processes of the Fal gateway around the simulator; webhooks go to the first one's HTTP port."""

    def __init__(self, adapter: AdapterHarness, http: httpx.AsyncClient) -> None:
        self.adapter = adapter
        self.http = http
        self.attempts = FakeCollection()
        self.leases = FakeCollection()
        self.others = {name: FakeCollection() for name in ("provider_health", "gateway_shares")}
        self.publisher = FakePublisher("gateway-fal")
        self.door = FastAPI()
        self.url = ""

    def process(self, limits: ProviderLimits) -> tuple[FakeService, Process]:
        service = FakeService(self.publisher)
        settings = FalSettings(key=SecretStr("k"), queue_url=self.adapter.url, rest_url=self.adapter.url)
        urls = WebhookUrls(self.url, SECRET)
        provider = FalProvider(self.http, settings, self.adapter.inputs, urls.of)
        keys = Keys(self.http, settings.rest_url)
        routes = webhook_routes(urls, keys, partial(ref_of, settings), None)
        database = self.others | {"attempts": self.attempts, "gateway_leases": self.leases}
        return service, Process(provider, limits, cast(Database, database), service.service, routes)

    @asynccontextmanager
    async def running(
        self, limits: ProviderLimits = RARELY, *, at_the_door: bool = True
    ) -> AsyncIterator[FakeService]:
        """Run a process; only the one with the HTTP port receives webhooks, also those of others."""
        before = len(self.leases.kept)
        service, process = self.process(limits)
        if at_the_door:
            self.door.mount("/", service.http)
        task = asyncio.create_task(process.run())
        await until(lambda: len(self.leases.kept) > before)
        yield service
        service.stop()
        await task

    def entry(self, command: RenderRequested) -> dict[str, Any]:
        return self.attempts.kept[command.attempt_id]

    async def ended(self, count: int = 1) -> None:
        await until(lambda: len(self.publisher.said(RenderSucceeded)) == count)


@pytest.fixture
async def harness() -> AsyncIterator[ProcessHarness]:
    async with an_adapter_harness("fal", latency_seconds=0.05) as adapter, quick_client(5.0) as http:
        made = ProcessHarness(adapter, http)
        async with running(made.door) as made.url:
            yield made


async def deliveries(harness: ProcessHarness) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await harness.adapter.http.get("/_sim/webhooks")).json()
    return found


async def test_a_webhook_makes_the_next_poll_come_at_once(harness: ProcessHarness) -> None:
    async with harness.running() as service:
        command = a_command()
        await service.deliver(command)
        await harness.ended()
    [delivery] = await deliveries(harness)
    assert delivery["result"] == 204
    query = parse_qs(urlsplit(delivery["url"]).query)
    assert query["attempt"] == [command.attempt_id]
    assert harness.entry(command)["state"] == "succeeded"


async def test_a_forged_webhook_is_refused_and_polling_goes_on_without_it(harness: ProcessHarness) -> None:
    await harness.adapter.behave(webhook_bad_signature=True)
    async with harness.running(ProviderLimits(first_poll_interval=0.2, max_poll_interval=0.2)) as service:
        await service.deliver(a_command())
        await harness.ended()
    assert {delivery["result"] for delivery in await deliveries(harness)} == {401}


async def test_a_submission_whose_answer_was_lost_is_settled_by_its_webhook(harness: ProcessHarness) -> None:
    await harness.adapter.behave(next_faults=["lose_answer"], webhook_delay_seconds=0.1)
    async with harness.running(NEVER_SETTLED) as service:
        command = a_command()
        await service.deliver(command)
        await until(lambda: harness.entry(command)["state"] == "unknown")
        await harness.ended()
    [submission] = await harness.adapter.submission_log()
    entry = harness.entry(command)
    assert (entry["external_id"], entry["submissions"]) == (submission["id"], 1)
    assert harness.publisher.said(RenderFailed) == []


async def test_duplicates_end_an_attempt_once(harness: ProcessHarness) -> None:
    await harness.adapter.behave(webhook_duplicates=3)
    async with harness.running() as service:
        await service.deliver(a_command(), a_command())
        await harness.ended(2)
        async with asyncio.timeout(3):
            while len(await deliveries(harness)) < 8:
                await asyncio.sleep(0.01)
    assert {delivery["result"] for delivery in await deliveries(harness)} == {204}
    assert len(harness.publisher.said(RenderSucceeded)) == 2


async def test_a_webhook_that_comes_to_another_process_reaches_the_attempts_own(
    harness: ProcessHarness,
) -> None:
    await harness.adapter.behave(next_faults=["lose_answer"], webhook_delay_seconds=0.05)
    async with harness.running(NEVER_SETTLED, at_the_door=False) as owner:
        command = a_command()
        await owner.deliver(command)
        await until(lambda: harness.entry(command)["state"] == "unknown")
        async with harness.running():
            await harness.ended()
            await until(lambda: "next_check_at" not in harness.entry(command))
    assert harness.entry(command)["submissions"] == 1
