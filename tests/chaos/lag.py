"""Consumer lag of the services, as reported by the broker."""

from collections.abc import Iterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.gather import parts_of

Offsets = Mapping[TopicPartition, int]


async def unread(bootstrap: str) -> list[str]:
    """Return `lag: {group}: {topic}/{partition}: {count}` for partitions with unread records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await admin.start()
    await consumer.start()
    try:
        topics = [topic for topic in await admin.list_topics() if not topic.startswith("__")]
        parts = await parts_of(bootstrap, *topics)
        ends = await consumer.end_offsets(parts)
        found: list[str] = []
        for group, _ in await admin.list_consumer_groups():
            offsets = await admin.list_consumer_group_offsets(group, partitions=parts)
            found += lag_of(group, {part: each.offset for part, each in offsets.items()}, ends)
        return found
    finally:
        await consumer.stop()
        await admin.close()


def lag_of(group: str, committed: Offsets, ends: Offsets) -> Iterator[str]:
    """Yield the lag of a group on the topics for which it has committed offsets."""
    read = {part.topic for part, offset in committed.items() if offset >= 0}
    for part, end in sorted(ends.items()):
        left = end - max(0, committed.get(part, 0))
        if part.topic in read and left > 0:
            yield f"lag: {group}: {part.topic}/{part.partition}: {left}"
