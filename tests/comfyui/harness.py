"""A whole gateway process with the real adapter, at an external server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from contracts.base import Message
from contracts.renders import RenderFailed, RenderRequested, RenderSucceeded
from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.provider import AttemptRequest
from services.gateways.runtime.app import Process
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.mongo import Database
from tests.fakes.adapters import quick_client
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import FakeInputs, a_cancel, a_command
from tests.fakes.publisher import FakePublisher
from tests.fakes.service import FakeService
from tests.fakes.waiting import until

PACE = ProviderLimits(
    first_poll_interval=0.05,
    max_poll_interval=0.5,
    max_poll_interval_streaming=1.0,
    reconcile_interval=3600.0,
)
SECONDS = 120.0
"""Seconds; a server without a graphics card is slow."""


@dataclass
class ComfyuiHarness:
    """The process with its ledger and messages, and a client of the server."""

    http: httpx.AsyncClient
    provider: ComfyUIProvider
    attempts: FakeCollection = field(default_factory=FakeCollection)
    publisher: FakePublisher = field(default_factory=lambda: FakePublisher("gateway-comfyui"))
    service: FakeService = field(init=False)

    def __post_init__(self) -> None:
        self.service = FakeService(self.publisher)

    async def start(self, workflow: dict[str, Any]) -> RenderRequested:
        """Send a render to the gateway."""
        command = a_command(1, "comfyui", workflow=workflow)
        await self.service.deliver(command)
        return command

    async def run(self, workflow: dict[str, Any]) -> RenderSucceeded | RenderFailed:
        """Send a render to the gateway and wait for its final message."""
        return await self.end(await self.start(workflow))

    async def end(self, command: RenderRequested) -> RenderSucceeded | RenderFailed:
        """Return the final report on an attempt."""
        await until(lambda: self._ends(command), seconds=SECONDS)
        return self._ends(command)[0]

    async def delivered(self, command_or_end: Message) -> httpx.Response:
        """Return the file of a success."""
        assert isinstance(command_or_end, RenderSucceeded), command_or_end
        return await self.http.get(command_or_end.outputs[0].path or "")

    async def taken(self, *commands: RenderRequested) -> None:
        """Wait until the server has these prompts."""
        async with asyncio.timeout(SECONDS):
            for command in commands:
                while await self.provider.find(self.request(command)) is None:
                    await asyncio.sleep(0.05)

    async def cancel(self, command: RenderRequested) -> None:
        """Cancel an attempt, and wait until the ledger has recorded it."""
        await self.service.deliver(a_cancel(command))
        entries = self.attempts.kept
        await until(lambda: entries[command.attempt_id]["state"] == "cancelled", seconds=SECONDS)

    def request(self, command: RenderRequested) -> AttemptRequest:
        """Return the adapter's input for a command."""
        return Attempt(command, trace=None).request

    def _ends(self, command: RenderRequested) -> list[RenderSucceeded | RenderFailed]:
        said: list[RenderSucceeded | RenderFailed] = [
            *self.publisher.said(RenderSucceeded),
            *self.publisher.said(RenderFailed),
        ]
        return [each for each in said if each.attempt_id == command.attempt_id]


@asynccontextmanager
async def a_harness(url: str) -> AsyncIterator[ComfyuiHarness]:
    """Yield a running process; cancel its remaining prompts at the end."""
    async with quick_client(20.0) as http, httpx.AsyncClient(base_url=url, trust_env=False) as beside:
        provider = ComfyUIProvider(http, ComfyUISettings(base_url=url), FakeInputs())
        harness = ComfyuiHarness(beside, provider)
        names = ("provider_health", "gateway_shares", "gateway_leases")
        database = {name: FakeCollection() for name in names} | {"attempts": harness.attempts}
        process = Process(provider, PACE, cast(Database, database), harness.service.service)
        task = asyncio.create_task(process.run())
        await until(lambda: database["gateway_leases"].kept)
        try:
            yield harness
        finally:
            harness.service.stop()
            await task
