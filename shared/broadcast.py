"""Topics that every instance must see: read without a group, all partitions, from their end on.

Nothing is committed. What was said before, or while the broker was away for long, is not seen:
the listener catches up from documents whenever `on_positioned` is called.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.base import Message, topics_of
from shared.batch_consumer import report_silence
from shared.clock import now
from shared.codecs import bound_codecs
from shared.envelope import Received, Unreadable, decode
from shared.limits import MAX_MESSAGE_BYTES
from shared.reading import Reading
from shared.settings import KafkaSettings
from shared.waiting import backoff

log = structlog.get_logger()

POSITION_SECONDS = 10.0


class LogWasReset(Exception):
    """The topic ends before our position: the broker lost what it had."""


class Broadcast:
    """Feeds a listener in this process with everything that is said from now on.

    Args:
        on_messages: gets each batch, in order per partition; must not block.
        on_positioned: called whenever reading (re)starts at the end; what lies between is missing.
        service: for logs and metrics.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        kinds: Sequence[type[Message]],
        *,
        on_messages: Callable[[Sequence[Received[Any]]], None],
        on_positioned: Callable[[], None],
        service: str = "unknown",
    ) -> None:
        self._settings = settings
        self._kinds = {topic: kind for kind in kinds for topic in topics_of(kind)}
        self._on_messages = on_messages
        self._on_positioned = on_positioned
        self._reads = False
        self._reading = Reading(service, f"broadcast {', '.join(sorted(self._kinds))}")

    async def problem(self) -> str | None:
        """For health: why nothing is read, or nothing."""
        return self._reading.problem() or (None if self._reads else "not reading yet")

    async def run(self) -> None:
        """Read until cancelled; whatever ends the reading, it begins anew at the end of the topics."""
        bound_codecs()
        pauses = backoff(0.2, 5.0)
        while True:
            try:
                await self._read()
            except Exception as error:
                if self._reads:
                    pauses = backoff(0.2, 5.0)
                self._reads = False
                text = f"{type(error).__name__}: {error}"
                self._reading.trouble("consumer", type(error).__name__, text)
            await asyncio.sleep(next(pauses))

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )
        try:
            await consumer.start()
            partitions = await self._assign(consumer)
            await asyncio.wait_for(self._go_to_the_end(consumer, partitions), POSITION_SECONDS)
            self._reads = True
            self._reading.over("consumer")
            self._on_positioned()
            since = time.time()
            while True:
                report_silence(consumer, self._reading, since, time.time())
                batch = await consumer.getmany(timeout_ms=1000, max_records=self._settings.batch_records)
                self._hand_on(batch)
                await _check(consumer, partitions)
        finally:
            await consumer.stop()

    async def _assign(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        partitions = []
        for topic in self._kinds:
            await consumer._client._wait_on_metadata(topic)
            partitions += [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        return partitions

    async def _go_to_the_end(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)

    def _hand_on(self, batch: dict[TopicPartition, list[Any]]) -> None:
        found = []
        for records in batch.values():
            for record in records:
                try:
                    found.append(decode(record, self._kinds, records[0].offset, now()))
                except Unreadable as unreadable:
                    log.warning("unreadable_in_broadcast", topic=record.topic, error=str(unreadable))
        if found:
            self._on_messages(found)


async def _check(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    for partition in partitions:
        end = consumer.highwater(partition)
        if end is not None and await consumer.position(partition) > end:
            raise LogWasReset(f"{partition.topic}[{partition.partition}] ends at {end}")
