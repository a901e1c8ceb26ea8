"""Paused partitions: read again after a pause, because handling failed or because of backpressure."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from shared.observability import metrics

log = structlog.get_logger()


class PausedPartitions:
    """The paused partitions of one subscription. Each is read again from the offset where it was paused."""

    def __init__(self, service: str) -> None:
        self.paused: set[TopicPartition] = set()
        """Partitions whose batch failed, until it is handled."""
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    def pause(
        self, tp: TopicPartition, offset: int, consumer: AIOKafkaConsumer, seconds: float, *, failed: bool
    ) -> None:
        """Pause a partition, to be read again from `offset`. Ignore one that is no longer assigned to us."""
        try:
            consumer.seek(tp, offset)
            consumer.pause(tp)
        except IllegalStateError:
            return
        write = log.error if failed else log.info
        reason = "batch_failed" if failed else "backpressure"
        write("partition_paused", reason=reason, topic=tp.topic, partition=tp.partition, offset=offset)
        if failed and tp not in self.paused:
            self.paused.add(tp)
            metrics.partitions_paused.labels(self._service, tp.topic).inc()
        task = asyncio.create_task(self._resume(tp, consumer, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resume(self, tp: TopicPartition, consumer: AIOKafkaConsumer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if tp in consumer.assignment():
            consumer.resume(tp)

    def handled(self, partitions: Iterable[TopicPartition]) -> None:
        """Unmark partitions that were handled or revoked; between two tries they stay marked."""
        for tp in self.paused.intersection(partitions):
            self.paused.discard(tp)
            metrics.partitions_paused.labels(self._service, tp.topic).dec()


def tp_of(record: ConsumerRecord) -> TopicPartition:
    """Return the partition of a record."""
    return TopicPartition(record.topic, record.partition)
