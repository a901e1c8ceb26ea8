"""A service that starts while others of its group leave reads its first message within seconds."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from deploy.local.stack import Stack
from tests.integration.workers import Worker, say

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

TIMES = 20
SECONDS = 20.0
"""Seconds for one start on a busy machine; an idle one needs a tenth."""


async def test_services_start_while_others_leave_twenty_times_in_a_row(servers: Stack) -> None:
    members, waits = AsyncExitStack(), list[float]()
    for _ in range(2):
        await members.enter_async_context(Worker(servers, "joining").running())
    for number in range(TIMES):
        leaving, members = members, AsyncExitStack()
        joining = Worker(servers, "joining")
        started = time.monotonic()
        await asyncio.gather(leaving.aclose(), members.enter_async_context(joining.running()))
        await say(servers, [f"message {number}"])
        assert f"message {number}" in await joining.saw(1, SECONDS)
        waits.append(time.monotonic() - started)
        await members.enter_async_context(Worker(servers, "joining").running())
    await members.aclose()
    assert max(waits) < SECONDS, waits
