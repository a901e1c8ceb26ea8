"""Three nodes of Apache Kafka tolerate the loss of one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from contracts.catalog import TOPICS
from deploy.local.stack import Stack, StackOptions
from tests.e2e.platform import CHARACTER, Platform, platform_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    state = tmp_path_factory.mktemp("stack")
    options = StackOptions(state=state, brokers=3, latency_seconds=0.2)
    async with Stack(options) as stack, platform_of(stack) as client:
        yield client


@pytest.mark.parametrize("number", [2, 3])
async def test_jobs_complete_although_a_node_is_killed_and_stays_away(
    platform: Platform, number: int
) -> None:
    await platform.behave("modal", tiny=True, concurrency=8)
    request = {"type": "base_image", "character": CHARACTER, "provider": "modal"}
    jobs = [await platform.publish(request) for _ in range(5)]
    await platform.received(jobs[0], "accepted")
    await platform.stack.broker.kill(number)
    jobs += [await platform.publish(request) for _ in range(5)]
    ends = await platform.ended(*jobs, seconds=180)
    assert [end.event for end in ends] == ["completed"] * 10
    await platform.stack.broker.start(number)
    async with asyncio.timeout(60):  # otherwise the next kill removes a second node
        while not await all_in_sync(platform.stack.environment["KAFKA_BOOTSTRAP"]):
            await asyncio.sleep(0.5)


async def all_in_sync(bootstrap: str) -> bool:
    """Return whether every partition has all its replicas in sync."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        topics = await admin.describe_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    return all(len(each["isr"]) == len(each["replicas"]) for topic in topics for each in topic["partitions"])
