"""Apache Kafka, one node: rebalances under load, a killed broker, idempotent producers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from contracts.generation import GenerationCancel
from deploy.local.stack import Stack, StackOptions
from shared.envelope import Envelope
from shared.kafka.publisher import Publisher
from shared.kafka.topics import ensure_topics
from shared.waiting import wait_until_up
from tests.integration.load import Journal, Load, OrderedWorker, all_is_committed, first_times
from tests.integration.workers import Worker, kafka_settings, ready, saw, say

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    state = tmp_path_factory.mktemp("apache")
    options = StackOptions(state=state, brokers=1, stores=(), simulators=(), services=())
    async with Stack(options) as stack:
        yield stack


async def test_consumers_join_and_leave_under_load_and_nothing_is_lost_or_out_of_order(stack: Stack) -> None:
    journal: Journal = []
    first, second, third = (OrderedWorker(stack, "rebalances", journal) for _ in range(3))
    async with first.running(), Load(stack) as load, AsyncExitStack() as later:
        await load.more(50)
        async with second.running():
            await load.more(100)
            await later.enter_async_context(third.running())
            await load.more(100)
        await load.more(100)
        await load.end()
        await load.handled_by(journal)
        await all_is_committed(stack, "rebalances")
    assert first.seen
    assert second.seen
    assert third.seen
    assert all(first_times(journal, job) == list(range(load.said)) for job in load.jobs)


async def test_all_continue_at_their_offsets_after_the_broker_was_killed(stack: Stack) -> None:
    journal: Journal = []
    one, two = OrderedWorker(stack, "killed", journal), OrderedWorker(stack, "killed", journal)
    async with one.running(), two.running(), Load(stack) as load:
        await load.more(50)
        await stack.broker.kill()
        await asyncio.sleep(2)
        await stack.broker.start()
        await load.more(50)
        seen = len(one.seen), len(two.seen)
        await load.more(50)
        await load.end()
        await load.handled_by(journal)
        await all_is_committed(stack, "killed")
        assert len(one.seen) > seen[0]
        assert len(two.seen) > seen[1]
    assert all(first_times(journal, job) == list(range(load.said)) for job in load.jobs)


async def test_offsets_outlive_the_broker(stack: Stack) -> None:
    async with Worker(stack, "kept").running() as before:
        await say(stack, ["before"])
        async with asyncio.timeout(20):
            while "before" not in before.seen:
                await asyncio.sleep(0.02)
        await all_is_committed(stack, "kept")
    await stack.broker.stop()
    await stack.broker.start()
    async with Worker(stack, "kept").running() as after:
        await say(stack, ["after"])
        assert await after.saw(1) == ["after"]


async def test_a_publisher_fails_fast_while_the_broker_is_down_and_recovers(
    stack: Stack,
) -> None:
    settings = kafka_settings(stack, send_seconds=2.0)
    envelope = Envelope(topic=GenerationCancel.topic, key="k", body=b"{}", headers=())
    async with Publisher("test", settings) as publisher:
        await publisher.send([envelope])
        await stack.broker.kill()
        for _ in range(2):
            with pytest.raises((KafkaConnectionError, TimeoutError)):
                await publisher.send([envelope])
        await stack.broker.start()
        await publisher.send([envelope])


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_a_process_ends_quickly_while_the_broker_is_down(stack: Stack, how: str) -> None:
    envelope = Envelope(topic=GenerationCancel.topic, key="k", body=b"{}", headers=())
    async with Worker(stack, "ends").running() as worker:
        await worker.service.publisher.send([envelope])
        await getattr(stack.broker, how)()
        waiting = asyncio.create_task(worker.service.publisher.send([envelope]))
        await asyncio.sleep(0.5)
        async with asyncio.timeout(30):  # aiokafka alone waits forever, and for 40 s
            await worker.service.stop_listening()
            await worker.service.__aexit__()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await (stack.broker.start() if how == "kill" else stack.broker.resume())


async def test_a_batch_that_the_broker_refuses_does_not_stop_later_batches(stack: Stack) -> None:
    address = stack.environment["KAFKA_BOOTSTRAP"]
    await wait_until_up("Kafka", address, partial(declare_narrow, address), seconds=30.0)
    small, large = (Envelope(topic="narrow", key="k", body=b"x" * size, headers=()) for size in (10, 5000))
    async with Publisher("test", kafka_settings(stack)) as publisher:
        await publisher.send([small])
        with pytest.raises(MessageSizeTooLargeError):
            await publisher.send([large])
        await publisher.send([small])


async def test_a_broker_that_is_away_is_a_problem_until_it_is_back(stack: Stack) -> None:
    async with Worker(stack, "away").running() as worker:
        await say(stack, ["before"])
        await saw(worker, "before")
        await stack.broker.kill()
        async with asyncio.timeout(60):
            while "consumer away" not in (await ready(worker.service))[1]:
                await asyncio.sleep(0.2)
        assert (await ready(worker.service))[0] == 503
        await stack.broker.start()
        async with asyncio.timeout(60):
            while "consumer away" in (await ready(worker.service))[1]:
                await asyncio.sleep(0.2)
        await say(stack, ["after"])
        await saw(worker, "after")


async def declare_narrow(address: str) -> None:
    """Declare a topic, once the restarted broker has registered itself."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    try:
        await admin.start()
        await admin.create_topics([NewTopic("narrow", 1, 1, topic_configs={"max.message.bytes": "2000"})])
    finally:
        await admin.close()


async def test_every_batch_has_a_producer_id(stack: Stack) -> None:
    await ensure_topics(kafka_settings(stack))
    async with Load(stack, jobs=1) as load:
        await load.more(5)
    logs = stack.folder.data.glob(f"apache-kafka-1-of-1/log/{GenerationCancel.topic}-*/*.log")
    ours = [batch for log in logs for batch in batches(log) if load.jobs[0].encode() in batch]
    assert len(ours) >= 5
    assert all(struct.unpack_from(">q", batch, 43)[0] >= 0 for batch in ours)


def batches(log: Path) -> Iterator[bytes]:
    """Yield the record batches of a log segment: offset, length, content."""
    data = log.read_bytes()
    at = 0
    while at + 61 <= len(data) and (length := struct.unpack_from(">i", data, at + 8)[0]):
        yield data[at : at + 12 + length]
        at += 12 + length
