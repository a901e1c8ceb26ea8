"""The consumers of one process, on FastStream: each reads for one subscription, in one group."""

import asyncio
from functools import partial
from typing import Any

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream.kafka import KafkaBroker

from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.subscription import Subscription
from shared.limits import MAX_MESSAGE_BYTES
from shared.observability.health import Health
from shared.observability.logs import framework_logger
from shared.settings import KafkaSettings

log = structlog.get_logger()


class Consumers:
    """Joins the groups, tells health how each consumer is doing, and leaves in order."""

    def __init__(self, service: str, kafka: KafkaSettings, health: Health, batch_seconds: float) -> None:
        self._service = service
        self._kafka = kafka
        self._health = health
        self._subscribers: list[Any] = []
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._servers = kafka.bootstrap.split(",")
        self._broker = KafkaBroker(
            self._servers,
            client_id=f"imagegen-{service}",
            consumer_only=True,
            apply_types=False,
            graceful_timeout=batch_seconds,
            logger=framework_logger("faststream"),
        )

    def add(self, subscription: Subscription[Any], group: str) -> None:
        """Let a subscription read in this group."""

        async def handles() -> str | None:
            waiting = sorted(f"{tp.topic}[{tp.partition}]" for tp in subscription.paused)
            return f"cannot handle {', '.join(waiting)}" if waiting else None

        async def reads() -> str | None:
            consumer = subscriber.consumer
            return consumer.problem() if consumer is not None else f"joining group {group}"

        subscriber = subscription.include_in(
            self._broker,
            group_id=group,
            auto_offset_reset="earliest",
            max_records=self._kafka.batch_records,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        self._subscribers.append(subscriber)
        self._health.add(f"group {group}", handles)
        self._health.add(f"consumer {group}", reads)

    async def listen(self) -> None:
        """Join the groups, all at once, and begin to consume."""
        if self._subscribers:
            await self._connect()
            await asyncio.gather(*(subscriber.start() for subscriber in self._subscribers))

    async def _connect(self) -> None:
        """Connect, and let FastStream make consumers of our class (docs/decisions/0033)."""
        await self._broker.connect()
        self._broker.config.broker_config.builder = partial(
            BatchConsumer,
            bootstrap_servers=self._servers,
            service=self._service,
            on_broken=self._break,
        )

    async def stop(self, seconds: float) -> None:
        """Finish the batches in hand and leave the groups, as far as the broker answers."""
        try:
            await asyncio.wait_for(self._broker.stop(), seconds)
        except TimeoutError:
            log.warning("stopped_without_leaving")

    def examine(self) -> None:
        """Notice what keeps consumers from reading although nothing was raised."""
        for subscriber in self._subscribers:
            if subscriber.consumer is not None:
                subscriber.consumer.examine()

    async def broken(self) -> None:
        """Raise what broke a consumer: a new process has a new one. Waits until then."""
        await self._failed.wait()
        assert self._failure is not None, "set before the event"
        raise self._failure

    def _break(self, error: BaseException) -> None:
        self._failure = error
        self._failed.set()
