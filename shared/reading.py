"""What keeps a consumer from reading: logged once per cause, counted, and told to health until it is over."""

from collections.abc import Hashable
from typing import Any

import structlog
from aiokafka import TopicPartition

from shared import metrics
from shared.unpacking import UnreadBatch

log = structlog.get_logger()


class Reading:
    """The troubles of one consumer, each under a key: a partition, or a part of the consumer."""

    def __init__(self, service: str, group: str) -> None:
        self._service = service
        self._group = group
        self._troubles: dict[Hashable, tuple[str, str]] = {}
        self._errors = metrics.consumer_errors
        self._blocked = metrics.consumer_blocked.labels(service, group)

    def trouble(self, key: Hashable, cause: str, text: str, *, again: bool = True, **where: Any) -> None:
        """Report that reading fails; the same cause under the same key is logged once.

        `again` counts it each time; without it, what lasts is counted once.
        """
        known = self._troubles.get(key)
        new = known is None or known[0] != cause
        self._troubles[key] = cause, text
        self._blocked.set(len(self._troubles))
        if new or again:
            self._errors.labels(self._service, self._group, cause).inc()
        if new:
            log.error("consumer_cannot_read", group=self._group, cause=cause, error=text, **where)

    def over(self, key: Hashable) -> None:
        """Report that reading works again."""
        known = self._troubles.pop(key, None)
        if known is not None:
            self._blocked.set(len(self._troubles))
            log.info("consumer_reads_again", group=self._group, cause=known[0], after=known[1])

    def passed_over(self, batch: UnreadBatch) -> None:
        """Report a batch that becomes a dead letter because it cannot be unpacked."""
        self._errors.labels(self._service, self._group, batch.reason).inc()
        log.error(
            "batch_passed_over",
            group=self._group,
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.offset,
            cause=batch.reason,
            error=batch.error,
        )

    def partitions(self) -> set[TopicPartition]:
        """The partitions that are in trouble."""
        return {key for key in self._troubles if isinstance(key, TopicPartition)}

    def problem(self) -> str | None:
        """For health: all troubles in one line."""
        return "; ".join(dict.fromkeys(text for _, text in self._troubles.values())) or None
