"""The servers that all contestants share: broker, stores and one provider, without any service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from bench.contestants.contestant import Place
from deploy.local.stack import Stack, StackOptions

AT_ONCE: Final = 100_000
"""The provider never lets a job wait."""
NOT_ASKED: Final = {"COMFYUI_BASE_URL": "http://127.0.0.1:9"}
"""The result store wants to know every provider, also one that does not run."""


@asynccontextmanager
async def shared_servers(
    folder: Path,
    *,
    simulators: tuple[str, ...] = ("modal",),
    environment: Mapping[str, str] | None = None,
    launcher: tuple[str, ...] = (),
) -> AsyncIterator[Place]:
    """Fresh ones, in a folder of their own."""
    options = StackOptions(
        state=folder / "stack",
        services=(),
        simulators=simulators,
        latency_seconds=0.0,
        launcher=launcher,
        environment={
            **({} if "comfyui" in simulators else NOT_ASKED),
            "MODAL_SLOTS": "256",
            "LOG_LEVEL": "warning",
            **(environment or {}),
        },
    )
    async with Stack(options) as stack:
        yield Place(stack, folder)


async def reset_provider(place: Place, name: str = "modal", **behaviour: Any) -> None:
    """An instant provider with empty books that always gives the same small picture."""
    url = f"{place.stack.simulator_url(name)}/_sim"
    wanted = {"tiny": True, "latency_seconds": 0.0, "concurrency": AT_ONCE, **behaviour}
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        (await http.post(f"{url}/reset")).raise_for_status()
        (await http.post(f"{url}/behaviour", json=wanted)).raise_for_status()
