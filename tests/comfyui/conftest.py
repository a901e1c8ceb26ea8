"""Tests against a real ComfyUI server, which COMFYUI_URL names."""

import os
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.comfyui.harness import ComfyuiHarness, a_harness

URL = os.environ.get("COMFYUI_URL", "").rstrip("/")
NO_URL = "COMFYUI_URL is not set: COMFYUI_URL=http://127.0.0.1:8188 make test-comfyui"


@pytest.fixture(autouse=True)
def _server() -> None:
    if not URL:
        pytest.skip(NO_URL)


@pytest.fixture
async def harness() -> AsyncIterator[ComfyuiHarness]:
    """Yield a gateway process at the server, with its ledger and broker in memory."""
    async with a_harness(URL) as made:
        yield made


@pytest.fixture
def command_line() -> str:
    """Return the command that starts a server, with `{port}`."""
    given = os.environ.get("COMFYUI_COMMAND", "")
    if not given:
        pytest.skip("COMFYUI_COMMAND is not set, such as 'python main.py --cpu --port {port}'")
    return given


@pytest.fixture
async def beside() -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the server as another user."""
    async with httpx.AsyncClient(base_url=URL, trust_env=False, timeout=30) as http:
        yield http
