"""One Kafka for all test modules of a pytest worker, emptied between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.stack import Stack, StackOptions


@asynccontextmanager
async def running_kafka(state: Path) -> AsyncIterator[str]:
    """Yield the address of a Kafka of one node."""
    options = StackOptions(state=state, brokers=1, stores=(), simulators=(), services=())
    async with Stack(options) as stack:
        yield stack.environment["KAFKA_BOOTSTRAP"]


async def remove_topics(bootstrap: str) -> None:
    """Remove all topics; the broker drops the offsets that groups have committed to them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        topics = [name for name in await admin.list_topics() if not name.startswith("__")]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()
