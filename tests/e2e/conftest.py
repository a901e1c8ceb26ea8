"""One stack for all tests of a module; every test uses its own job ids."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import Platform, platform_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[Platform]:
    options = StackOptions(
        state=tmp_path_factory.mktemp("stack"),
        bootstrap=kafka,
        latency_seconds=0.3,
        environment={"FAL_GRACE_SECONDS": "20"},
    )
    async with Stack(options) as stack, platform_of(stack) as client:
        yield client
