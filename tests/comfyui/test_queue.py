"""Cancels, a large queue and restarts at a real server."""

import asyncio
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from contracts.renders import RenderFailed, RenderRequested
from services.gateways.kit.provider import InProgress
from tests.comfyui import graphs
from tests.comfyui.harness import SECONDS, ComfyuiHarness, a_harness

FOREIGN = 26
METADATA = "x" * 200_000


async def nodes_of(http: httpx.AsyncClient) -> dict[str, Any]:
    nodes: dict[str, Any] = (await http.get("/object_info")).json()
    return nodes


async def reach(harness: ComfyuiHarness, command: RenderRequested, state: str) -> InProgress:
    """Wait until the server has a prompt in this state."""
    request = harness.request(command)
    async with asyncio.timeout(SECONDS):
        while True:
            status = await harness.provider.poll(request, {"id": request.idempotency_key})
            assert isinstance(status, InProgress), status
            if status.state == state:
                return status
            await asyncio.sleep(0.1)


async def test_a_queued_and_a_running_prompt_are_cancelled_and_no_other(
    harness: ComfyuiHarness, beside: httpx.AsyncClient
) -> None:
    nodes = await nodes_of(beside)
    first, second, third = [await harness.start(graphs.slow(nodes)) for _ in range(3)]
    await harness.taken(first, second, third)
    await reach(harness, first, "running")
    await harness.cancel(second)
    assert harness.attempts.kept[first.attempt_id]["state"] != "cancelled"
    await harness.cancel(first)
    await reach(harness, third, "running")
    await harness.cancel(third)
    ours = {harness.request(command).idempotency_key for command in (first, second, third)}
    assert not ours & await harness.provider.unfinished(), "others may use the server"


@asynccontextmanager
async def crowd(http: httpx.AsyncClient) -> AsyncIterator[None]:
    """Queue prompts of other users with much metadata, and remove them at the end."""
    nodes, ids = await nodes_of(http), list[str]()
    extra = {"extra_pnginfo": {"workflow": {"id": "w", "notes": METADATA}}}
    try:
        for _ in range(FOREIGN):
            answer = await http.post("/prompt", json={"prompt": graphs.slow(nodes), "extra_data": extra})
            ids.append(answer.raise_for_status().json()["prompt_id"])
        yield
    finally:
        await http.post("/queue", json={"delete": ids})
        for prompt_id in ids:
            await http.post("/interrupt", json={"prompt_id": prompt_id})


async def test_a_prompt_behind_a_large_queue_of_other_users_is_followed_and_cancelled(
    harness: ComfyuiHarness, beside: httpx.AsyncClient
) -> None:
    async with crowd(beside):
        assert len((await beside.get("/queue")).content) > 4 * 1024 * 1024
        command = await harness.start(graphs.plain())
        await harness.taken(command)
        waiting = await reach(harness, command, "queued")
        assert waiting.queue_position is not None
        assert waiting.queue_position >= FOREIGN - 2
        request = harness.request(command)
        assert await harness.provider.find(request) == {"id": request.idempotency_key}
        there = await harness.provider.unfinished()
        assert request.idempotency_key in there
        assert len(there) >= FOREIGN
        await harness.cancel(command)


@contextmanager
def served(command_line: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a server of the test, killed at its end."""
    command = shlex.split(command_line.format(port=port))
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the server and all processes that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def answers(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                if (await http.get("/system_stats")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)


@pytest.mark.timeout(600)
async def test_a_prompt_of_a_killed_server_is_lost_unbilled_and_may_be_retried(command_line: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http, a_harness(url) as harness:
        with served(command_line, port) as first:
            await answers(http)
            nodes = await nodes_of(http)
            running, queued = [await harness.start(graphs.slow(nodes)) for _ in range(2)]
            await harness.taken(running, queued)
            await reach(harness, running, "running")
            kill(first)
        with served(command_line, port):
            await answers(http)
            for command in (running, queued):
                end = await harness.end(command)
                assert isinstance(end, RenderFailed)
                assert (end.code, end.retryable, end.billed) == ("lost", True, "no")
            assert not isinstance(await harness.run(graphs.plain()), RenderFailed)
