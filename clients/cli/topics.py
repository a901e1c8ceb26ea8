"""imagegen topics: how much each topic holds, and how far its consumers are"""

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
from clients.cli.errors import Unreachable
from clients.cli.report import wide_console
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
class Log:
    """The ends of each partition, and each group's next offset where it has committed one."""

    first: Offsets
    end: Offsets
    committed: Mapping[str, Offsets]


@dataclass(frozen=True)
class Row:
    """A topic, and one group that reads it."""

    topic: str
    partitions: int
    messages: int
    group: str | None = None
    committed: int = 0
    lag: int = 0


def topics(
    ctx: typer.Context,
    empty: Annotated[bool, typer.Option("--all", help="Also topics that hold nothing.")] = False,
) -> None:
    """Each topic's partitions and messages, and its consumer groups' offsets and lag."""
    bootstrap = connection_of(ctx).addresses.of("kafka")
    with quiet(bootstrap):
        log = asyncio.run(asyncio.wait_for(read_log(bootstrap), SECONDS))
    wide_console().print(_table([row for row in rows_of(log) if empty or row.messages]))


@contextmanager
def quiet(bootstrap: str) -> Iterator[None]:
    """A broker that does not answer is one line.

    Raises:
        Unreachable: naming the address.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unreachable("Kafka broker", bootstrap, type(error).__name__) from None


async def read_log(bootstrap: str) -> Log:
    """Ask the broker about all our topics and groups."""
    async with _asking(bootstrap) as (admin, consumer):
        partitions = await _partitions(admin, [topic.name for topic in TOPICS])
        return Log(
            first=await consumer.beginning_offsets(partitions),
            end=await consumer.end_offsets(partitions),
            committed={group: await _committed(admin, group, partitions) for group in GROUPS},
        )


async def read_all(bootstrap: str, topics: Sequence[str], seconds: float = SECONDS) -> list[ConsumerRecord]:
    """Everything that these topics hold now.

    Raises:
        TimeoutError: when nothing more came for `seconds` although there is more.
    """
    records: list[ConsumerRecord] = []
    async with _asking(bootstrap) as (admin, consumer):
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
async def _asking(bootstrap: str) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
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


def rows_of(log: Log) -> list[Row]:
    """One row for each topic and group; a topic that no group reads has one without."""
    rows = []
    for topic in dict.fromkeys(each.topic for each in log.end):
        ours = [each for each in log.end if each.topic == topic]
        held = (topic, len(ours), sum(log.end[each] - log.first[each] for each in ours))
        reading = [group for group, offsets in log.committed.items() if any(each in offsets for each in ours)]
        for group in reading:
            offsets = log.committed[group]
            lag = sum(max(0, log.end[each] - offsets.get(each, log.first[each])) for each in ours)
            rows.append(Row(*held, group, sum(offsets.get(each, 0) for each in ours), lag))
        if not reading:
            rows.append(Row(*held))
    return rows


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    for name in ("partitions", "messages"):
        table.add_column(name, justify="right")
    table.add_column("group")
    for name in ("committed", "lag"):
        table.add_column(name, justify="right")
    before = None
    for row in rows:
        own = [row.topic, str(row.partitions), str(row.messages)] if row.topic != before else ["", "", ""]
        reader = [row.group, str(row.committed), Text(str(row.lag), "yellow" if row.lag else "green")]
        table.add_row(*own, *(reader if row.group else ["-", "", ""]))
        before = row.topic
    return table
