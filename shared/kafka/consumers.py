"""The consumers of one process, on FastStream: each reads for one subscription, in one group."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from typing_extensions import TypeForm

from contracts.base import Message
from shared.kafka.broker import connect, make_broker
from shared.kafka.publisher import Publisher
from shared.kafka.subscribe import Handler, M, OnFailed, OnUnreadable
from shared.kafka.subscription import Subscription
from shared.limits import MAX_MESSAGE_BYTES
from shared.observability.health import Health
from shared.settings import KafkaSettings

log = structlog.get_logger()


class Consumers:
    """Declares subscriptions, joins their groups, reports to health how each reads, and leaves in order."""

    def __init__(self, publisher: Publisher, kafka: KafkaSettings, health: Health, seconds: float) -> None:
        self.broker = make_broker(publisher.source, kafka, seconds)
        self._publisher = publisher
        self._kafka = kafka
        self._health = health
        self._subscribers: list[Any] = []
        self._broken: asyncio.Future[None] | None = None

    def subscribe(
        self,
        kinds: TypeForm[M],
        /,
        *,
        group: str,
        topics: Sequence[str] = (),
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed[M] | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
    ) -> Callable[[Handler[M]], Handler[M]]:
        """Declare a handler; see `Subscribe`."""

        def declare(handler: Handler[M]) -> Handler[M]:
            subscription = Subscription(
                kinds,
                handler,
                self._publisher,
                topics=topics,
                on_unreadable=on_unreadable,
                on_failed=on_failed,
                answered_elsewhere=answered_elsewhere,
            )
            self._add(subscription, group)
            return handler

        return declare

    def _add(self, subscription: Subscription[Any], group: str) -> None:
        async def reads() -> str | None:
            consumer = subscriber.consumer
            return consumer.problem() if consumer is not None else f"joining group {group}"

        subscriber = subscription.include_in(
            self.broker,
            group_id=group,
            auto_offset_reset="earliest",
            max_records=self._kafka.batch_records,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        self._subscribers.append(subscriber)
        self._health.add(f"group {group}", subscription.problem)
        self._health.add(f"consumer {group}", reads)

    async def listen(self) -> None:
        """Join the groups, all at once, and begin to consume."""
        if self._subscribers:
            await connect(self.broker, self._publisher.source, self._kafka, self._break)
            await asyncio.gather(*(subscriber.start() for subscriber in self._subscribers))

    async def stop(self, seconds: float) -> None:
        """Finish the batches in hand and leave the groups, as far as the broker answers."""
        try:
            await asyncio.wait_for(self.broker.stop(), seconds)
        except TimeoutError:
            log.warning("stopped_without_leaving_groups")

    def examine(self) -> None:
        """Notice what keeps consumers from reading although nothing was raised."""
        for subscriber in self._subscribers:
            if subscriber.consumer is not None:
                subscriber.consumer.examine()

    async def broken(self) -> None:
        """Raise what broke a consumer: only a new process has a new one. Wait until then."""
        await self._failure()

    def _failure(self) -> asyncio.Future[None]:
        if self._broken is None:
            self._broken = asyncio.get_running_loop().create_future()
        return self._broken

    def _break(self, error: BaseException) -> None:
        if not self._failure().done():
            self._failure().set_exception(error)
