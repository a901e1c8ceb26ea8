"""imagegen topics: messages of each topic, committed offsets and lag of its consumer groups"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from rich.table import Table
from rich.text import Text

from clients.cli.connection import connection_of
from clients.cli.errors import BrokerUnavailable
from clients.cli.job_report import wide_console
from contracts.base import PROVIDERS
from contracts.catalog import TOPICS
from shared.limits import MAX_MESSAGE_BYTES

GROUPS = (
    "prompt-builder",
    "dispatcher",
    *(f"gateway-{provider}" for provider in PROVIDERS),
    "result-store",
    "characters",
    "notifier",
)
SECONDS = 15.0
Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class TopicOffsets:
    """First and end offset of each partition, and the offsets that each consumer group has committed."""

    first: Offsets
    end: Offsets
    committed: Mapping[str, Offsets]


@dataclass(frozen=True)
class Row:
    """A topic and one of its consumer groups; None when it has none."""

    topic: str
    partitions: int
    messages: int
    group: str | None = None
    committed: int = 0
    lag: int = 0


def topics(
    ctx: typer.Context,
    empty: Annotated[bool, typer.Option("--all", help="Include empty topics.")] = False,
) -> None:
    """List topics with their partitions and messages, and the offsets and lag of consumer groups."""
    bootstrap = connection_of(ctx).addresses.of("kafka")
    with broker_errors(bootstrap):
        offsets = asyncio.run(asyncio.wait_for(read_offsets(bootstrap), SECONDS))
    wide_console().print(_table([row for row in rows_of(offsets) if empty or row.messages]))


@contextmanager
def broker_errors(bootstrap: str) -> Iterator[None]:
    """Silence the Kafka client's log and turn its errors into one.

    Raises:
        BrokerUnavailable: with the address of the broker.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(bootstrap, type(error).__name__) from None


async def read_offsets(bootstrap: str) -> TopicOffsets:
    """Read the offsets of all topics and consumer groups of the platform."""
    async with _connected(bootstrap) as (admin, consumer):
        partitions = await _partitions(admin, [topic.name for topic in TOPICS])
        return TopicOffsets(
            first=await consumer.beginning_offsets(partitions),
            end=await consumer.end_offsets(partitions),
            committed={group: await _committed(admin, group, partitions) for group in GROUPS},
        )


async def read_all(bootstrap: str, topics: Sequence[str], seconds: float = SECONDS) -> list[ConsumerRecord]:
    """Return all records that these topics hold now.

    Raises:
        TimeoutError: when no record arrived for `seconds` before the end of a topic.
    """
    records: list[ConsumerRecord] = []
    async with _connected(bootstrap) as (admin, consumer):
        partitions = await _partitions(admin, topics)
        ends = await asyncio.wait_for(consumer.end_offsets(partitions), seconds)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            batch = await consumer.getmany(timeout_ms=int(seconds * 1000))
            if not batch:
                raise TimeoutError(f"no more records within {seconds:g} s")
            records += [record for part in batch.values() for record in part]
    return records


@asynccontextmanager
async def _connected(bootstrap: str) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
    )
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    finally:
        await consumer.stop()
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    existing = set(await admin.list_topics())
    described = await admin.describe_topics([topic for topic in topics if topic in existing])
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]


async def _committed(admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition]) -> Offsets:
    found = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    return {each: known.offset for each, known in found.items() if known.offset >= 0}


def rows_of(offsets: TopicOffsets) -> list[Row]:
    """Return one row per topic and consumer group; a topic without a group has one row."""
    rows = []
    for topic in dict.fromkeys(partition.topic for partition in offsets.end):
        partitions = [partition for partition in offsets.end if partition.topic == topic]
        messages = sum(offsets.end[each] - offsets.first[each] for each in partitions)
        groups = [
            (name, committed)
            for name, committed in offsets.committed.items()
            if any(partition in committed for partition in partitions)
        ]
        for name, committed in groups:
            lag = sum(
                max(0, offsets.end[each] - committed.get(each, offsets.first[each])) for each in partitions
            )
            total = sum(committed.get(each, 0) for each in partitions)
            rows.append(Row(topic, len(partitions), messages, name, total, lag))
        if not groups:
            rows.append(Row(topic, len(partitions), messages))
    return rows


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    for name in ("partitions", "messages"):
        table.add_column(name, justify="right")
    table.add_column("group")
    for name in ("committed", "lag"):
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        topic = [row.topic, str(row.partitions), str(row.messages)] if row.topic != previous else ["", "", ""]
        group = [row.group, str(row.committed), Text(str(row.lag), "yellow" if row.lag else "green")]
        table.add_row(*topic, *(group if row.group else ["-", "", ""]))
        previous = row.topic
    return table
