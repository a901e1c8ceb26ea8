"""Reading of a fake log with a real consumer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import ConsumerRecord

from shared.kafka.batch_consumer import BatchConsumer
from tests.fakes.log import Log


@asynccontextmanager
async def reading(log: Log) -> AsyncIterator[BatchConsumer]:
    """A consumer of the log, stopped at the end."""
    consumer = await log.consumer()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def records(consumer: BatchConsumer, *, until: bytes | int) -> list[ConsumerRecord]:
    """All records up to the one with this value or offset."""
    seen: list[ConsumerRecord] = []
    async with asyncio.timeout(400):
        while not seen or until not in (seen[-1].value, seen[-1].offset):
            for part in (await consumer.getmany()).values():
                seen += part
    return seen
