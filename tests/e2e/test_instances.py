"""Several instances of every service share the work."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import CHARACTER, Platform, platform_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    options = StackOptions(
        state=tmp_path_factory.mktemp("stack"),
        latency_seconds=0.2,
        instances=dict.fromkeys(SERVICES, 2),
    )
    async with Stack(options) as stack, platform_of(stack) as client:
        yield client


async def test_two_of_each_service_complete_every_job_once(platform: Platform) -> None:
    for name in ("modal", "comfyui", "fal"):
        await platform.behave(name, tiny=True, concurrency=8)
    jobs = [await platform.publish({"type": "base_image", "character": CHARACTER}) for _ in range(20)]
    ends = await platform.ended(*jobs, seconds=90)
    assert [end.event for end in ends] == ["completed"] * 20
    submissions = [s["our_id"] for s in await platform.submissions("modal")]
    assert len(submissions) == len(set(submissions)) == 60
