"""Feed one handler from the topics of its message types.

Every record ends in exactly one of three ways: handled, replaced by an answer (a dead letter, if the
service has none of its own), or read again. Nothing is committed before its outputs are acknowledged.
"""

from collections.abc import Callable, Collection, Sequence, Set
from functools import partial
from typing import Any, Generic, Unpack

from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter
from typing_extensions import TypeForm

from contracts.base import Message, topics_of
from shared.clock import Clock, now
from shared.kafka.options import DEFAULT_PAUSES, Pauses, SubscriberOptions
from shared.kafka.partitions import PausedPartitions
from shared.kafka.pipeline.answers import Answers
from shared.kafka.pipeline.dead_letters import DeadLetters
from shared.kafka.pipeline.decoding import BatchDecoder, BatchParser
from shared.kafka.pipeline.handler import described
from shared.kafka.pipeline.in_hand import BatchInHand
from shared.kafka.pipeline.pausing import Pauser, Pausing
from shared.kafka.pipeline.publish import PublishThenCommit, Sender
from shared.kafka.pipeline.retry import BoundedRetry
from shared.kafka.pipeline.telemetry import Telemetry
from shared.kafka.subscribe import Handler, M, OnFailed, OnUnreadable, message_types


class Subscription(Generic[M]):
    """A handler with its message types and its pipeline. See `Subscribe` for the arguments."""

    def __init__(
        self,
        kinds: TypeForm[M],
        handler: Handler[M],
        sender: Sender,
        *,
        topics: Sequence[str] = (),
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed[M] | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
        pauses: Pauses = DEFAULT_PAUSES,
        now: Clock = now,
    ) -> None:
        by_topic = {topic: kind for kind in message_types(kinds) for topic in topics_of(kind)}
        self.topics = tuple(topics) or tuple(by_topic)
        self._kinds = kinds
        self._handler = handler
        self._decoder = BatchDecoder(by_topic, now)
        self._paused = PausedPartitions(sender.source)
        self.in_hand = BatchInHand(self._paused, pauses.revoke)
        silent = frozenset(topic for kind in answered_elsewhere for topic in topics_of(kind))
        self.middlewares: Sequence[Any] = (
            partial(Pausing, pauser=Pauser(self.in_hand, self._paused, pauses.paused, pauses.full)),
            partial(Telemetry, service=sender.source),
            partial(DeadLetters, answers=Answers(sender.source, on_unreadable, on_failed, silent)),
            partial(BoundedRetry, first_pause=pauses.retry),
            partial(PublishThenCommit, sender=sender, in_hand=self.in_hand),
        )

    @property
    def paused(self) -> Set[TopicPartition]:
        """Partitions whose batch failed and waits to be read again."""
        return self._paused.paused

    async def problem(self) -> str | None:
        """For health: the partitions that cannot be handled now."""
        waiting = sorted(f"{tp.topic}[{tp.partition}]" for tp in self.paused)
        return f"cannot handle {', '.join(waiting)}" if waiting else None

    def include_in(
        self,
        broker: KafkaBroker,
        *,
        consumer: Callable[[], AIOKafkaConsumer] | None = None,
        **options: Unpack[SubscriberOptions],
    ) -> Any:
        """Declare this subscription on a broker and return FastStream's subscriber.

        Args:
            consumer: returns the consumer to commit with; the subscriber's own by default.
            options: of FastStream's subscriber.
        """
        parser = BatchParser(consumer or (lambda: subscriber.consumer))
        router = KafkaRouter(middlewares=self.middlewares, parser=parser.parse, decoder=self._decoder.decode)
        subscriber = router.subscriber(
            *self.topics, batch=True, ack_policy=AckPolicy.MANUAL, listener=self.in_hand, **options
        )
        subscriber(described(self._handler, self._kinds))
        broker.include_router(router)
        return subscriber
