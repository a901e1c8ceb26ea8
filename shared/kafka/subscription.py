"""One shape for all consumers: a batch in, validated, handled, its outputs acknowledged, then committed.

Every record ends in exactly one of three ways: handled, set aside as a dead letter, or delivered
again. Nothing is committed before its outputs are on the broker.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from contracts.base import Message, topics_of
from contracts.operations import DeadLetter
from shared.clock import Clock, now
from shared.envelope import Envelope, Outgoing, Received
from shared.errors import Backpressure, PermanentError
from shared.kafka.dead_letters import dead_letter
from shared.kafka.decoding import Unreadable, decode
from shared.kafka.partitions import PausedPartitions, grouped, tp_of
from shared.limits import MAX_MESSAGE_BYTES
from shared.loops import watched
from shared.observability import metrics
from shared.observability.tracing import start_span, traceparent
from shared.transient import is_transient
from shared.waiting import backoff

log = structlog.get_logger()

Handler = Callable[[Sequence[Received[Any]]], Awaitable[Iterable[Outgoing]]]
OnUnreadable = Callable[[ConsumerRecord, Unreadable], Message | None]
OnFailed = Callable[[Received[Any], Exception], Message | None]
Subscribe = Callable[..., Callable[[Handler], Handler]]
"""`Service.subscribe`: declares a handler for message types and a group."""

RETRIES = 4
BATCH_SECONDS = 300.0
"""Limit for one batch, with its tries: what takes longer counts as hung."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds before the first retry, of a parked partition, until there may be room again, and for a
    batch in hand to end when revoked."""

    retry: float = 0.1
    paused: float = 5.0
    full: float = 1.0
    revoke: float = 10.0


class MessageTooLarge(PermanentError):
    """A handler made a message that the broker would refuse."""

    reason = "message_too_large"

    def __init__(self, topic: str, size: int) -> None:
        super().__init__(f"a message for {topic} has {size} bytes; at most {MAX_MESSAGE_BYTES} fit")


class Sender(Protocol):
    """What a subscription needs of the publisher."""

    source: str

    def encode(self, outgoing: Outgoing) -> Envelope: ...

    async def send(self, envelopes: Sequence[Envelope]) -> None: ...


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds one handler from the topics of its message types.

    Args:
        kinds: the message types, all with the same kind of key.
        handler: gets the valid messages of a batch, in order per key; returns what to say.
            A transient error is retried in place, then the partition is parked while others go
            on; `NoRoom` lets it wait without any of that; any other error sets aside the one
            message that causes it.
        on_unreadable: may turn an invalid record into a message (a rejection) instead of a
            dead letter.
        on_failed: the same for a message that the handler cannot handle.
        answered_elsewhere: message types whose invalid records another service answers for all.
    """

    def __init__(
        self,
        kinds: Sequence[type[Message]],
        handler: Handler,
        publisher: Sender,
        *,
        topics: Sequence[str] | None = None,
        on_unreadable: OnUnreadable | None = None,
        on_failed: OnFailed | None = None,
        answered_elsewhere: Collection[type[Message]] = (),
        pauses: Pauses = Pauses(),
        now: Clock = now,
    ) -> None:
        self.kinds = {topic: kind for kind in kinds for topic in topics_of(kind)}
        self.topics = tuple(topics) if topics else tuple(self.kinds)
        self._handler = handler
        self._publisher = publisher
        self._on_unreadable = on_unreadable
        self._on_failed = on_failed
        self._answered_elsewhere = frozenset(answered_elsewhere)
        self._pauses = pauses
        self._now = now
        self._lost: set[TopicPartition] = set()  # by the batch in hand
        self._paused = PausedPartitions(publisher.source)
        self._busy = asyncio.Lock()

    @property
    def paused(self) -> Set[TopicPartition]:
        """Partitions whose batch failed and waits to be read again."""
        return self._paused.paused

    async def consume(self, records: Sequence[ConsumerRecord], consumer: AIOKafkaConsumer) -> None:
        """Handle one batch to its end. Never raises: what fails is parked and read again."""
        async with self._busy:
            with watched(f"batch of {records[0].topic}", BATCH_SECONDS):
                await self._consume(records, consumer)

    async def _consume(self, records: Sequence[ConsumerRecord], consumer: AIOKafkaConsumer) -> None:
        self._lost.clear()
        with suppress(Backpressure):
            if await self._handled(records, consumer, RETRIES):
                return
        for tp, part in grouped(records).items():
            handled, full = False, False
            try:
                handled = await self._handled(part, consumer, 1)
            except Backpressure:
                full = True
            if not handled and tp not in self._lost:
                pause = self._pauses.full if full else self._pauses.paused
                self._paused.pause(tp, part[0].offset, consumer, pause, failed=not full)

    async def _handled(
        self, records: Sequence[ConsumerRecord], consumer: AIOKafkaConsumer, tries: int
    ) -> bool:
        for left, pause in zip(range(tries, 0, -1), backoff(self._pauses.retry, 2.0, 3.0), strict=False):
            try:
                await self._handle(records)
            except Backpressure:
                raise
            except Exception as error:
                if not is_transient(error):
                    log.exception("batch_failed", topics=self.topics)
                log.warning("batch_delayed", error=f"{type(error).__name__}: {error}", tries_left=left - 1)
                if left > 1:
                    await asyncio.sleep(pause)
            else:
                await self._commit(records, consumer)
                self._paused.handled(map(tp_of, records))
                return True
        return False

    async def _handle(self, records: Sequence[ConsumerRecord]) -> None:
        started = time.perf_counter()
        outputs: list[Outgoing] = []
        batch: list[Received[Any]] = []
        spans = []
        origin = {(record.topic, record.partition, record.offset): record for record in records}
        starts = {tp: part[0].offset for tp, part in grouped(records).items()}
        read_at = self._now()
        for record in records:
            try:
                received = decode(record, self.kinds, starts[tp_of(record)], read_at)
            except Exception as error:  # whatever a validator raises must not stop a partition
                outputs += self._refusal(record, error)
                continue
            span = start_span(
                f"process {record.topic}", received.trace, {"messaging.message.id": received.id}
            )
            spans.append(span)
            batch.append(received.continued(traceparent(span)))
        if batch:
            outputs += await self._outputs(batch, origin)
        await self._publish(outputs)
        for span in spans:
            span.end()
        self._account(batch, outputs, time.perf_counter() - started)

    async def _outputs(
        self, batch: list[Received[Any]], origin: dict[tuple[str, int, int], ConsumerRecord]
    ) -> list[Outgoing]:
        """The handler's outputs; when it fails, half by half, to find the message that does it."""
        try:
            return [self._encoded(outgoing) for outgoing in await self._handler(batch)]
        except Exception as error:
            if is_transient(error):
                raise
            if len(batch) == 1:
                record = origin[batch[0].topic, batch[0].partition, batch[0].offset]
                return [self._dead_letter(record, batch[0], error)]
        middle = len(batch) // 2
        return [
            *await self._outputs(batch[:middle], origin),
            *await self._outputs(batch[middle:], origin),
        ]

    def _encoded(self, outgoing: Outgoing) -> Outgoing:
        envelope = self._publisher.encode(outgoing)
        if len(envelope.body) > MAX_MESSAGE_BYTES - 65_536:
            raise MessageTooLarge(envelope.topic, len(envelope.body))
        return replace(outgoing, message=envelope)

    def _refusal(self, record: ConsumerRecord, error: Exception) -> list[Outgoing]:
        if self.kinds.get(record.topic) in self._answered_elsewhere:
            return []
        odd = Unreadable("invalid", f"{type(error).__name__}: {error}")
        unreadable = error if isinstance(error, Unreadable) else odd
        try:
            message = self._on_unreadable(record, unreadable) if self._on_unreadable else None
        except Exception as another:
            log.error("refusal_failed", topic=record.topic, offset=record.offset, exc_info=another)
            message = None
        letter = message or dead_letter(
            record, service=self._publisher.source, reason=unreadable.reason, error=str(unreadable)
        )
        return [Outgoing(letter, cause=(record.topic, record.partition))]

    def _dead_letter(self, record: ConsumerRecord, received: Received[Any], error: Exception) -> Outgoing:
        reason = error.reason if isinstance(error, PermanentError) else "handler_failed"
        if reason == "handler_failed":
            log.error("handler_failed", topic=record.topic, offset=record.offset, exc_info=error)
        try:
            message = self._on_failed(received, error) if self._on_failed else None
        except Exception as another:
            log.error("refusal_failed", topic=record.topic, offset=record.offset, exc_info=another)
            message = None
        letter = message or dead_letter(
            record,
            service=self._publisher.source,
            reason=reason,
            error=f"{type(error).__name__}: {error}",
        )
        return Outgoing(letter, cause=(record.topic, record.partition))

    async def _publish(self, outputs: Sequence[Outgoing]) -> None:
        """Publish the outputs, except those caused by a partition that was revoked."""
        lost = {(tp.topic, tp.partition) for tp in self._lost}
        ours = [outgoing for outgoing in outputs if outgoing.cause not in lost]
        if ours:
            await self._publisher.send([self._publisher.encode(outgoing) for outgoing in ours])

    async def _commit(self, records: Sequence[ConsumerRecord], consumer: AIOKafkaConsumer) -> None:
        offsets = {tp: part[-1].offset + 1 for tp, part in grouped(records).items() if tp not in self._lost}
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            # The outputs are published; a redelivery of this batch publishes the same messages again.
            log.warning("commit_failed", error=f"{type(error).__name__}: {error}")

    def _account(self, batch: Sequence[Received[Any]], outputs: Sequence[Outgoing], seconds: float) -> None:
        milliseconds = round(seconds * 1000, 2)
        for outgoing in outputs:
            if isinstance(outgoing.message, DeadLetter):  # counted once it is said, not at every try
                metrics.dead_letters.labels(self._publisher.source, outgoing.message.reason).inc()
        for received in batch:
            metrics.messages.labels(self._publisher.source, received.topic).inc()
            log.info(
                "message_handled",
                topic=received.topic,
                partition=received.partition,
                offset=received.offset,
                id=received.id,
                trace=received.trace,
                batch=len(batch),
                batch_ms=milliseconds,
            )
        metrics.batch_seconds.labels(self._publisher.source).observe(seconds)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the current batch finish; a batch that does not is neither published nor committed."""
        try:
            async with asyncio.timeout(self._pauses.revoke):
                await self._busy.acquire()
        except TimeoutError:
            self._lost |= set(revoked)
        else:
            self._busy.release()
        self._paused.handled(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Reading restarts at the committed offset; the interrupted batch publishes nothing for it."""
