"""Problems of one consumer: logged once per cause, counted, and shown in health until they are resolved."""

from collections.abc import Hashable

import structlog
from aiokafka import TopicPartition

from shared.kafka.unpacking import UnreadBatch
from shared.observability import metrics

log = structlog.get_logger()


class ConsumerProblems:
    """Open problems by place (a partition, or a part of the consumer) and cause."""

    def __init__(self, service: str, group: str) -> None:
        self._service = service
        self._group = group
        self._open: dict[tuple[Hashable, str], str] = {}
        self._errors = metrics.consumer_errors
        self._blocked = metrics.consumer_blocked.labels(service, group)

    def report(
        self, place: Hashable, cause: str, text: str, *, count_each: bool = True, **where: object
    ) -> None:
        """Report that reading fails. The same cause in the same place is logged once until resolved.

        Args:
            count_each: whether to count every report, or the problem once.
        """
        is_new = (place, cause) not in self._open
        self._open[place, cause] = text
        self._blocked.set(len(self._open))
        if is_new or count_each:
            self._errors.labels(self._service, self._group, cause).inc()
        if is_new:
            log.error("consumer_cannot_read", group=self._group, cause=cause, error=text, **where)

    def resolve(self, place: Hashable) -> None:
        """Report that reading works again in this place."""
        for key in [key for key in self._open if key[0] == place]:
            text = self._open.pop(key)
            log.info("consumer_reads_again", group=self._group, cause=key[1], after=text)
        self._blocked.set(len(self._open))

    def skipped(self, batch: UnreadBatch) -> None:
        """Report a batch that becomes a dead letter because it cannot be unpacked."""
        self._errors.labels(self._service, self._group, batch.reason).inc()
        log.error(
            "batch_skipped",
            group=self._group,
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.offset,
            cause=batch.reason,
            error=batch.error,
        )

    def partitions(self) -> set[TopicPartition]:
        """Return the partitions with open problems."""
        return {place for place, _ in self._open if isinstance(place, TopicPartition)}

    def summary(self) -> str | None:
        """For health: all open problems in one line."""
        return "; ".join(dict.fromkeys(self._open.values())) or None
