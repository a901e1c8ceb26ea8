"""Private names of aiokafka that we use, in this module only. Decision 0035 says why, name by name."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords


def has_fetcher(consumer: AIOKafkaConsumer) -> bool:
    """Return whether the consumer has connected, also when its start failed after that."""
    return consumer._fetcher is not None


def wrap_client(consumer: AIOKafkaConsumer, wrap: Callable[[Any], Any]) -> None:
    """Let the consumer fetch through a wrapper of its client."""
    consumer._fetcher._client = wrap(consumer._client)


def fetched_partitions(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """Return the partitions of which something is fetched and not read yet."""
    return list(consumer._fetcher._records)


def wrap_records(
    consumer: AIOKafkaConsumer, tp: TopicPartition, wrap: Callable[[PartitionRecords], PartitionRecords]
) -> None:
    """Let what is fetched of a partition be read through a wrapper."""
    fetched = consumer._fetcher._records.get(tp)
    if isinstance(fetched, FetchResult) and fetched.has_more():
        fetched._partition_records = wrap(fetched._partition_records)


def unread(fetched: PartitionRecords) -> tuple[Any, ...]:
    """Return the arguments that make another iterator over the same bytes."""
    position = fetched.next_fetch_offset
    return fetched._tp, fetched._records, None, position, None, None, True, READ_UNCOMMITTED


def raise_group_errors(consumer: AIOKafkaConsumer) -> None:
    """Raise errors of the group. aiokafka itself does so only where something is read."""
    consumer._coordinator.check_errors()


async def wait_for_fetch(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Wait until something is fetched, at most for a time. Raise errors of the group."""
    waiter = consumer._fetcher._create_fetch_waiter()
    done, _ = await asyncio.wait([waiter], timeout=seconds)
    if done:
        waiter.result()
    else:
        waiter.cancel()


def position(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """Return the offset to read next, without waiting for it to be known."""
    if tp not in consumer.assignment():
        return None
    found: int | None = consumer._subscription.subscription.assignment.state_value(tp)._position
    return found


def ended_task(consumer: AIOKafkaConsumer) -> BaseException | None:
    """Return why a background task of the consumer has ended, if one has."""
    for task in (consumer._fetcher._fetch_task, getattr(consumer._coordinator, "_coordination_task", None)):
        if task is not None and task.done() and not task.cancelled():
            error: BaseException | None = task.exception()
            return error or RuntimeError("a task of the consumer ended")
    return None


def has_coordinator(consumer: AIOKafkaConsumer) -> bool:
    """Return whether the coordinator of the group is known; without a group there is none to know."""
    return getattr(consumer._coordinator, "coordinator_id", 0) is not None


def is_rebalancing(consumer: AIOKafkaConsumer) -> bool:
    """Return whether the consumer waits for an assignment."""
    return bool(consumer._subscription.reassignment_in_progress)


async def load_metadata(consumer: AIOKafkaConsumer, topic: str) -> None:
    """Wait until the partitions of a topic are known."""
    await consumer._client._wait_on_metadata(topic)


async def close_client(consumer: AIOKafkaConsumer) -> None:
    """Close the connections of a consumer whose own `stop` failed."""
    await consumer._client.close()


async def drop_batches(producer: AIOKafkaProducer) -> None:
    """End the sender of a producer whose `stop` waits for batches that the broker does not take."""
    await producer._sender.close()
