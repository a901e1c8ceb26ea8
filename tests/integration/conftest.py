"""The embedded servers, without services, for one module of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.stack import Stack, StackOptions


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    options = StackOptions(state=tmp_path_factory.mktemp("servers"), simulators=(), services=())
    async with Stack(options) as stack:
        yield stack
