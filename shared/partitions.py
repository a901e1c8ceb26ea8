"""Partitions that are left for a while while others go on: seen as in trouble, or only full."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from shared import metrics

log = structlog.get_logger()


class LeftPartitions:
    """What one subscription has left, to read it again from the same place."""

    def __init__(self, service: str) -> None:
        self.parked: set[TopicPartition] = set()
        """In trouble, until they are handled."""
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    def leave(
        self, tp: TopicPartition, offset: int, consumer: AIOKafkaConsumer, seconds: float, *, trouble: bool
    ) -> None:
        """Pause a partition, to be read again from `offset`. One that is ours no more is left alone."""
        try:
            consumer.seek(tp, offset)
            consumer.pause(tp)
        except IllegalStateError:
            return
        tell, event = (log.error, "partition_parked") if trouble else (log.info, "partition_waits_for_room")
        tell(event, topic=tp.topic, partition=tp.partition, offset=offset)
        if trouble and tp not in self.parked:
            self.parked.add(tp)
            metrics.parked.labels(self._service, tp.topic).inc()
        task = asyncio.create_task(self._resume(tp, consumer, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resume(self, tp: TopicPartition, consumer: AIOKafkaConsumer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if tp in consumer.assignment():
            consumer.resume(tp)

    def handled(self, partitions: Iterable[TopicPartition]) -> None:
        """These were handled, or are another's. Not before: who looks between two tries would see none."""
        for tp in self.parked.intersection(partitions):
            self.parked.discard(tp)
            metrics.parked.labels(self._service, tp.topic).dec()


def tp_of(record: ConsumerRecord) -> TopicPartition:
    """The partition a record lies in."""
    return TopicPartition(record.topic, record.partition)


def grouped(records: Sequence[ConsumerRecord]) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Records by partition, in order."""
    found: dict[TopicPartition, list[ConsumerRecord]] = {}
    for tp, part in groupby(records, tp_of):
        found.setdefault(tp, []).extend(part)
    return found
