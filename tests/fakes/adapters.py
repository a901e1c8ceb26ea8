"""An adapter and the simulator of its provider, in one event loop, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from starlette.types import ASGIApp

from contracts.base import Provider as ProviderName
from deploy.simulators import comfyui, fal, modal
from deploy.simulators.behaviour import Behaviour
from deploy.simulators.serving import running
from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.fal.adapter import FalProvider
from services.gateways.fal.settings import FalSettings
from services.gateways.kit.inputs import Inputs
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    InProgress,
    Lookup,
    Provider,
    SubmissionRef,
)
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from shared.http.client import HonestTransport, request_timeout
from tests.fakes.provider import FakeInputs

KEY = "the-key"
APPS: dict[ProviderName, Callable[[Behaviour], ASGIApp]] = {
    "fal": fal.create_app,
    "comfyui": comfyui.create_app,
    "modal": modal.create_app,
}
Wrap = Callable[[ASGIApp], ASGIApp]


def an_adapter(
    name: ProviderName, http: httpx.AsyncClient, url: str, inputs: Inputs, lora_dir: Path | None = None
) -> Provider:
    if name == "fal":
        hosts = urlsplit(url).netloc
        fal_settings = FalSettings(key=SecretStr(KEY), queue_url=url, rest_url=url, media_hosts=hosts)
        return FalProvider(http, fal_settings, inputs)
    if name == "comfyui":
        return ComfyUIProvider(http, ComfyUISettings(base_url=url, lora_dir=lora_dir), inputs)
    settings = ModalSettings(base_url=url, key=SecretStr("wk-1"), secret=SecretStr("ws-1"))
    return ModalProvider(http, settings, inputs)


def quick_client(timeout_seconds: float, connect_seconds: float = 5.0) -> httpx.AsyncClient:
    """Return a client as `shared.http.client` makes it, without certificates, for loopback."""
    timeout = request_timeout(timeout_seconds)
    timeout.connect = connect_seconds
    return httpx.AsyncClient(transport=HonestTransport(verify=False), timeout=timeout, trust_env=False)


def lookup_of(provider: Provider) -> Lookup:
    """Return the provider as one that can be asked for a submission."""
    assert isinstance(provider, Lookup), f"{provider.name} has a lookup"
    return provider


@dataclass
class AdapterHarness:
    """`provider` is under test; `http` speaks to the simulator beside it."""

    name: ProviderName
    provider: Provider
    http: httpx.AsyncClient
    inputs: FakeInputs
    url: str

    async def behave(self, **patch: Any) -> None:
        (await self.http.post("/_sim/behaviour", json=patch)).raise_for_status()

    async def forget(self) -> None:
        await self.http.post("/_sim/forget")

    async def submission_log(self) -> list[dict[str, Any]]:
        """Return the submissions that the provider accepted, in order."""
        entries: list[dict[str, Any]] = (await self.http.get("/_sim/submissions")).json()
        return entries

    async def submit(self, request: AttemptRequest) -> SubmissionRef:
        return await self.provider.submit(request, await self.provider.prepare(request))

    async def end(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        """Poll until the submission has ended."""
        async with asyncio.timeout(5):
            while isinstance(status := await self.provider.poll(request, ref), InProgress):
                await asyncio.sleep(0.005)
        return status

    async def reach(self, request: AttemptRequest, ref: SubmissionRef, state: str) -> InProgress:
        """Poll until the submission is queued or running."""
        async with asyncio.timeout(5):
            while True:
                status = await self.provider.poll(request, ref)
                assert isinstance(status, InProgress), status
                if status.state == state:
                    return status
                await asyncio.sleep(0.005)


@asynccontextmanager
async def an_adapter_harness(
    name: ProviderName,
    *,
    timeout_seconds: float = 5.0,
    wrap: Wrap = lambda app: app,
    lora_dir: Path | None = None,
    **behaviour: Any,
) -> AsyncIterator[AdapterHarness]:
    """A provider that works fast and draws tiny images, by default."""
    known = {"latency_seconds": 0.02, "tiny": True, "concurrency": 1}
    given = Behaviour.model_validate(known | behaviour)
    app = wrap(comfyui.create_app(given, lora_dir) if name == "comfyui" else APPS[name](given))
    async with (
        running(app) as url,
        quick_client(timeout_seconds) as http,
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as beside,
    ):
        inputs = FakeInputs(url)
        yield AdapterHarness(name, an_adapter(name, http, url, inputs, lora_dir), beside, inputs, url)
