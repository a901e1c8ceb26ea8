"""The servers that all contestants share: broker, stores and one provider, without any service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from bench.contestants.contestant import SharedServers
from deploy.local.stack import Stack, StackOptions

MAX_CONCURRENCY: Final = 100_000
"""Concurrency of the provider, so high that no job waits."""
UNUSED_PROVIDERS: Final = {"COMFYUI_BASE_URL": "http://127.0.0.1:9"}
"""Addresses of providers that do not run; the result store requires one for each provider."""


@asynccontextmanager
async def shared_servers(
    folder: Path,
    *,
    simulators: tuple[str, ...] = ("modal",),
    environment: Mapping[str, str] | None = None,
    launcher: tuple[str, ...] = (),
) -> AsyncIterator[SharedServers]:
    """Start fresh servers in a folder of their own."""
    options = StackOptions(
        state=folder / "stack",
        services=(),
        simulators=simulators,
        latency_seconds=0.0,
        launcher=launcher,
        environment={
            **({} if "comfyui" in simulators else UNUSED_PROVIDERS),
            "MODAL_SLOTS": "256",
            "LOG_LEVEL": "warning",
            **(environment or {}),
        },
    )
    async with Stack(options) as stack:
        yield SharedServers(stack, folder)


async def reset_provider(shared: SharedServers, name: str = "modal", **behaviour: Any) -> None:
    """Reset the provider: instant, with an empty submission log, always returning the same small picture."""
    url = f"{shared.stack.simulator_url(name)}/_sim"
    settings = {"tiny": True, "latency_seconds": 0.0, "concurrency": MAX_CONCURRENCY, **behaviour}
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        (await http.post(f"{url}/reset")).raise_for_status()
        (await http.post(f"{url}/behaviour", json=settings)).raise_for_status()
