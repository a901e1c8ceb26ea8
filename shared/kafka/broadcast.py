"""Read topics that every instance must see: without a group, all partitions, from their end on.

Nothing is committed. Messages published before, or while the broker was away for long, are not read:
the listener loads documents whenever `on_positioned` is called.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from contracts.base import Message, topics_of
from shared.clock import now
from shared.envelope import Received
from shared.errors import TransientError
from shared.kafka import internals
from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.consumer_problems import ConsumerProblems
from shared.kafka.decoding import Unreadable, decode
from shared.limits import MAX_MESSAGE_BYTES
from shared.loops import every
from shared.settings import KafkaSettings

log = structlog.get_logger()

POSITION_SECONDS: Final = 10.0
READ_BYTES: Final = 1024 * 1024
"""Size of records after which one read takes no further ones: they are decoded on the event loop."""
TURN_SECONDS: Final = 60.0
"""Limit for one turn: the start of a consumer, or one read."""


class LogWasReset(TransientError):
    """The topic ends before our position: the broker lost what it had."""


class Broadcast:
    """Feeds a listener in this process with all messages from now on.

    Args:
        on_messages: gets each batch, in order per partition; must not block.
        on_positioned: called whenever reading (re)starts at the end; messages before it may be missing.
        service: for logs and metrics.
        consumer: makes the consumer.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        kinds: Sequence[type[Message]],
        *,
        on_messages: Callable[[Sequence[Received[Any]]], None],
        on_positioned: Callable[[], None],
        service: str = "unknown",
        consumer: Callable[..., BatchConsumer] = BatchConsumer,
    ) -> None:
        self._settings = settings
        self._kinds = {topic: kind for kind in kinds for topic in topics_of(kind)}
        self._name = f"broadcast {', '.join(sorted(self._kinds))}"
        self._service = service
        self._on_messages = on_messages
        self._on_positioned = on_positioned
        self._make_consumer = consumer
        self._consumer: BatchConsumer | None = None
        self._positioned = False
        self._problems = ConsumerProblems(service, self._name)

    async def problem(self) -> str | None:
        """For health: the reason why nothing is read, or nothing."""
        if self._consumer is not None:
            self._consumer.examine()
        return self._problems.summary() or (None if self._positioned else "not reading yet")

    async def run(self) -> None:
        """Read until cancelled; after any failure, start again at the end of the topics."""
        try:
            await every(0.0, self._turn, name=self._name, limit=TURN_SECONDS, survives=True, vital=False)
        finally:
            await self._close()

    async def _turn(self) -> None:
        try:
            if self._consumer is None:
                self._consumer = self._new_consumer()
                await self._position(self._consumer)
            else:
                await self._read(self._consumer)
        except Exception as error:
            self._problems.report("consumer", type(error).__name__, f"{type(error).__name__}: {error}")
            await self._close()
            raise

    def _new_consumer(self) -> BatchConsumer:
        return self._make_consumer(
            service=self._service,
            problems=self._problems,
            read_bytes=READ_BYTES,
            bootstrap_servers=self._settings.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )

    async def _position(self, consumer: BatchConsumer) -> None:
        await consumer.start()
        async with asyncio.timeout(POSITION_SECONDS):
            partitions = []
            for topic in self._kinds:
                await internals.load_metadata(consumer, topic)
                numbers = consumer.partitions_for_topic(topic)
                partitions += [TopicPartition(topic, number) for number in numbers]
            consumer.assign(partitions)
            for partition, end in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, end)
        self._positioned = True
        self._problems.resolve("consumer")
        self._on_positioned()

    async def _read(self, consumer: BatchConsumer) -> None:
        found = await consumer.poll(self._settings.batch_records)
        consumer.examine()
        self._hand_on(record for records in found.values() for record in records)
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is not None and await consumer.position(partition) > end:
                raise LogWasReset(f"{partition.topic}[{partition.partition}] ends at {end}")

    def _hand_on(self, records: Iterable[Any]) -> None:
        found = []
        for record in records:
            try:
                found.append(decode(record, self._kinds, record.offset, now()))
            except Unreadable as unreadable:
                log.warning(
                    "broadcast_record_unreadable",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=str(unreadable),
                )
        if found:
            self._on_messages(found)

    async def _close(self) -> None:
        consumer, self._consumer, self._positioned = self._consumer, None, False
        if consumer is not None:
            await consumer.stop()
