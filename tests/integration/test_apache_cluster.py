"""Apache Kafka, three nodes: any one may fail, and a record that two acknowledged is safe."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.generation import GenerationCancel
from deploy.local.stack import Stack, StackOptions
from shared.envelope import Envelope
from shared.kafka.publisher import Publisher
from shared.kafka.topics import ensure_topics
from tests.integration.load import Journal, Load, OrderedWorker, all_is_committed, first_times
from tests.integration.workers import kafka_settings

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    state = tmp_path_factory.mktemp("cluster")
    options = StackOptions(state=state, brokers=3, stores=(), simulators=(), services=())
    async with Stack(options) as stack:
        yield stack


async def test_every_partition_of_our_topics_is_on_all_three_nodes(stack: Stack) -> None:
    await ensure_topics(kafka_settings(stack))
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.environment["KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        async with asyncio.timeout(30):  # a node may not know the topic yet
            partitions: list[dict[str, Any]] = []
            while not partitions:
                (topic,) = await admin.describe_topics([GenerationCancel.topic])
                partitions = topic["partitions"]
    finally:
        await admin.close()
    assert [sorted(partition["replicas"]) for partition in partitions] == [[1, 2, 3]] * 6


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_producing_and_consuming_continue_while_a_node_is_down(stack: Stack, number: int) -> None:
    journal: Journal = []
    group = f"without-{number}"
    one, two = OrderedWorker(stack, group, journal), OrderedWorker(stack, group, journal)
    async with one.running(), two.running(), Load(stack) as load:
        await load.more(30)
        await stack.broker.kill(number)
        await load.more(30)
        async with asyncio.timeout(60):
            while journal[-1][1] < load.said - 10:
                await asyncio.sleep(0.05)
        await stack.broker.start(number)
        await load.more(30)
        await load.end()
        await load.handled_by(journal)
        await all_is_committed(stack, group)
    assert all(first_times(journal, job) == list(range(load.said)) for job in load.jobs)


async def test_one_node_alone_acknowledges_nothing(stack: Stack) -> None:
    settings = kafka_settings(stack, send_seconds=5.0)
    envelope = Envelope(topic=GenerationCancel.topic, key="k", body=b"{}", headers=())
    async with Publisher("test", settings) as publisher:
        await publisher.send([envelope])
        await asyncio.gather(stack.broker.kill(2), stack.broker.kill(3))
        with pytest.raises((KafkaError, TimeoutError)):
            await publisher.send([envelope])
        await asyncio.gather(stack.broker.start(2), stack.broker.start(3))
        async with asyncio.timeout(60):
            while not await _sent(publisher, envelope):
                await asyncio.sleep(0.5)


async def _sent(publisher: Publisher, envelope: Envelope) -> bool:
    try:
        await publisher.send([envelope])
    except (KafkaError, TimeoutError):
        return False
    return True
