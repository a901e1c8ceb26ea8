"""Publish the outputs of a batch, and commit its offsets once the broker has acknowledged them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared.envelope import Envelope, Outgoing
from shared.errors import PermanentError, TransientError
from shared.kafka.pipeline.batch import Batch
from shared.kafka.pipeline.in_hand import BatchInHand
from shared.kafka.pipeline.middleware import BatchMiddleware, ContextRepo, Next
from shared.limits import MAX_MESSAGE_BYTES

log = structlog.get_logger()

HEADER_BYTES = 65_536
"""Room for headers and framing within the broker's limit for a message."""


class Sender(Protocol):
    """The part of the publisher that a subscription uses."""

    source: str

    def encode(self, outgoing: Outgoing) -> Envelope: ...

    async def send(self, envelopes: Sequence[Envelope]) -> None: ...


class MessageTooLarge(PermanentError):
    """A handler made a message that the broker would refuse."""

    reason = "message_too_large"

    def __init__(self, topic: str, size: int) -> None:
        super().__init__(f"a message for {topic} has {size} bytes; at most {MAX_MESSAGE_BYTES} fit")


class NotPublished(TransientError):
    """The broker has not acknowledged the outputs of a batch."""


class PublishThenCommit(BatchMiddleware):
    """The innermost middleware: it calls the handler, publishes, and commits exactly these offsets."""

    def __init__(self, msg: Any, /, *, context: ContextRepo, sender: Sender, in_hand: BatchInHand) -> None:
        super().__init__(msg, context=context)
        self._sender = sender
        self._in_hand = in_hand

    async def handle(self, proceed: Next, batch: Batch) -> None:
        """Handle, publish and commit one batch.

        Raises:
            MessageTooLarge: if an output does not fit into a message.
            NotPublished: if the outputs are not acknowledged; nothing is committed then.
        """
        outputs: Iterable[Outgoing] = await proceed(batch) if batch.messages else ()
        encoded = [self._encoded(outgoing) for outgoing in (*batch.answers, *outputs)]
        await self._publish(encoded)
        await _commit(batch.consumer, self._in_hand.finish(batch.ends()))

    def _encoded(self, outgoing: Outgoing) -> Outgoing:
        envelope = self._sender.encode(outgoing)
        if len(envelope.body) > MAX_MESSAGE_BYTES - HEADER_BYTES:
            raise MessageTooLarge(envelope.topic, len(envelope.body))
        return replace(outgoing, message=envelope)

    async def _publish(self, outputs: Sequence[Outgoing]) -> None:
        """Publish the outputs, except those caused by a partition that was revoked."""
        ours = [self._sender.encode(each) for each in outputs if self._in_hand.may_publish(each.cause)]
        if not ours:
            return
        try:
            await self._sender.send(ours)
        except Exception as error:
            raise NotPublished(f"{type(error).__name__}: {error}") from error


async def _commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    if not offsets:
        return
    try:
        await consumer.commit(offsets)
    except (IllegalStateError, KafkaError) as error:
        # The outputs are published; a redelivery of this batch publishes the same messages again.
        log.warning("commit_failed", error=f"{type(error).__name__}: {error}")
