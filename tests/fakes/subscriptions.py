"""Subscriptions on FastStream's test broker: batches are delivered by hand, and the consumer is a fake."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaBroker, TestKafkaBroker
from typing_extensions import TypeForm

from contracts.base import Message, topics_of
from shared.envelope import Outgoing, Received
from shared.kafka.options import Pauses
from shared.kafka.pipeline.publish import Sender
from shared.kafka.subscribe import Handler, M, OnFailed, OnUnreadable, message_types
from shared.kafka.subscription import Subscription
from tests.fakes.kafka import FakeConsumer

QUICK = Pauses(retry=0.001, paused=0.005, revoke=0.005)


class Handlers:
    """Declared handlers, called by hand."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler[Any]] = {}
        self.topics: dict[str, list[str]] = {}

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
        """Declare a handler, as `Service.subscribe` does."""
        self.topics[group] = list(topics) or [
            topic for kind in message_types(kinds) for topic in topics_of(kind)
        ]

        def declare(handler: Handler[M]) -> Handler[M]:
            self._handlers[group] = handler
            return handler

        return declare

    async def call(self, group: str, batch: Sequence[Received[Any]]) -> list[Outgoing]:
        """Return the handler's outputs for a batch."""
        return list(await self._handlers[group](batch))


class FakeKafka:
    """Runs the real pipeline, and FastStream around it, without a broker."""

    def __init__(self, sender: Sender, *, pauses: Pauses = QUICK) -> None:
        self._sender = sender
        self._pauses = pauses
        self._broker = KafkaBroker(consumer_only=True, apply_types=False)
        self._subscribers: dict[str, Any] = {}
        self._consumer: FakeConsumer
        self.subscriptions: dict[str, Subscription[Any]] = {}

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
        """Declare a handler, as `Service.subscribe` does."""

        def declare(handler: Handler[M]) -> Handler[M]:
            subscription = Subscription(
                kinds,
                handler,
                self._sender,
                topics=topics,
                on_unreadable=on_unreadable,
                on_failed=on_failed,
                answered_elsewhere=answered_elsewhere,
                pauses=self._pauses,
            )
            self._subscribers[group] = subscription.include_in(
                self._broker, consumer=lambda: self._consumer, group_id=group
            )
            self.subscriptions[group] = subscription
            return handler

        return declare

    async def deliver(
        self, records: Sequence[ConsumerRecord], consumer: FakeConsumer, group: str | None = None
    ) -> None:
        """Deliver one batch to a group, by default the only one."""
        if group is None:
            (group,) = self._subscribers
        self._consumer = consumer
        async with TestKafkaBroker(self._broker, connect_only=False):
            await self._subscribers[group].process_message(tuple(records))
