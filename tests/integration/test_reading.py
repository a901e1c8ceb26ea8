"""Readers on a real broker: every codec, an oversized decompressed record, joining a group."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contracts.generation import GenerationCancel
from contracts.operations import DeadLetter
from deploy.local.stack import Stack
from shared.ids import uuid7
from tests.integration.workers import Worker, ready, saw, say

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@asynccontextmanager
async def _producer(servers: Stack, codec: str | None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers.environment["KAFKA_BOOTSTRAP"],
        compression_type=codec,
        max_request_size=100_000_000,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_a_message_of_every_codec_is_handled(servers: Stack, codec: str | None) -> None:
    mark = f"codec-{codec}"
    body = b'{"job_id": "%s", "tenant": "t", "reason": "%s"}' % (uuid7().encode(), mark.encode())
    async with Worker(servers, f"reading-{codec}").running() as worker, _producer(servers, codec) as producer:
        await producer.send_and_wait(GenerationCancel.topic, body)
        await saw(worker, mark)


async def test_an_oversized_decompressed_record_is_a_dead_letter_and_the_next_is_handled(
    servers: Stack,
) -> None:
    async with Worker(servers, "bomb").running() as worker, _producer(servers, "gzip") as producer:
        sent = await producer.send_and_wait(GenerationCancel.topic, b"a" * 40_000_000, partition=0)
        for partition in range(6):
            body = b'{"job_id": "%s", "tenant": "t", "reason": "after-%d"}' % (uuid7().encode(), partition)
            await producer.send_and_wait(GenerationCancel.topic, body, partition=partition)
        for partition in range(6):
            await saw(worker, f"after-{partition}")
        problems = (await ready(worker.service))[1]
        assert not {name for name in problems if "bomb" in name}
    letter = await _dead_letter(servers, "too_large")
    assert (letter.original_partition, letter.original_offset) == (0, sent.offset)
    assert letter.cut
    assert "unpack to more than" in letter.error


async def _dead_letter(servers: Stack, reason: str) -> DeadLetter:
    bootstrap = servers.environment["KAFKA_BOOTSTRAP"]
    consumer = AIOKafkaConsumer(DeadLetter.topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for record in consumer:
                letter = DeadLetter.model_validate_json(record.value)
                if letter.reason == reason:
                    return letter
    finally:
        await consumer.stop()
    raise AssertionError("the topic ended")


async def test_health_reports_joining_until_the_group_is_joined(servers: Stack) -> None:
    worker = Worker(servers, "joins")
    async with worker.service:
        assert (await ready(worker.service))[1]["consumer joins"] == "joining group joins"
        async with asyncio.timeout(20):
            await worker.service.listen()
        assert "consumer joins" not in (await ready(worker.service))[1]
        await worker.service.stop_listening()


async def test_a_process_joins_within_seconds_while_two_others_leave(servers: Stack) -> None:
    async with AsyncExitStack() as stack:
        workers = [Worker(servers, "leaving") for _ in range(12)]
        for worker in workers:
            await stack.enter_async_context(worker.service)
        await asyncio.gather(*(worker.service.listen() for worker in workers[:2]))
        for turn in range(0, 10, 2):
            old, new = workers[turn : turn + 2], workers[turn + 2 : turn + 4]
            async with asyncio.timeout(15):
                leaving = [worker.service.stop_listening() for worker in old]
                joining = asyncio.gather(*leaving, *(worker.service.listen() for worker in new))
                _, problems = await ready(new[0].service)
                assert problems["consumer leaving"].startswith("joining group leaving")
                await joining
                await say(servers, [f"turn-{turn}"])
                while f"turn-{turn}" not in new[0].seen + new[1].seen:
                    await asyncio.sleep(0.02)
        await asyncio.gather(*(worker.service.stop_listening() for worker in workers[10:]))
