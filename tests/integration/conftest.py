"""Servers without services, for one module of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.stack import Stack, StackOptions


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[Stack]:
    state = tmp_path_factory.mktemp("servers")
    async with Stack(StackOptions(state=state, bootstrap=kafka, simulators=(), services=())) as stack:
        yield stack
