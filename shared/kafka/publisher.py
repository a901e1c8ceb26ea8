"""Publish messages to Kafka and wait until the broker has acknowledged them."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared.envelope import Envelope, Outgoing, encode
from shared.errors import TransientError
from shared.kafka import internals
from shared.limits import MAX_MESSAGE_BYTES
from shared.settings import KafkaSettings
from shared.waiting import Report, unreported, wait_until_up

log = structlog.get_logger()

FLUSH_SECONDS = 1.0


class NotConnected(TransientError):
    """The broker has not been reached since the process was started."""


class Publisher:
    """An idempotent producer with `acks=all`. One per process, for many tasks.

    A producer that did not deliver is replaced before anything else is sent: it numbers its batches, and
    after a gap the broker refuses everything from it (decision 0014).
    """

    def __init__(self, source: str, settings: KafkaSettings) -> None:
        self.source = source
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._entered = False

    async def __aenter__(self) -> "Publisher":
        await self.enter()
        return self

    async def enter(self, report: Report = unreported) -> None:
        """Wait for the broker, and report that meanwhile."""
        settings = self._settings
        self._producer = await wait_until_up(
            "Kafka", settings.bootstrap, self._connect, seconds=settings.startup_seconds, report=report
        )
        self._entered = True

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        self._give_up(self._producer)
        await asyncio.gather(*self._ending)

    @property
    def entered(self) -> bool:
        """True once the broker has been reached."""
        return self._entered

    def encode(self, outgoing: Outgoing) -> Envelope:
        """Encode a message; an envelope stays as it is."""
        if isinstance(outgoing.message, Envelope):
            return outgoing.message
        return encode(outgoing.message, source=self.source, trace=outgoing.trace)

    async def publish(self, outputs: Iterable[Outgoing]) -> None:
        """Send messages, in order per key, and wait until the broker has acknowledged each.

        Raises:
            KafkaError: the first error. Other messages may have been acknowledged.
        """
        await self.send([self.encode(outgoing) for outgoing in outputs])

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """Send encoded messages; see `publish`.

        Raises:
            TimeoutError: when the broker has not acknowledged all within `send_seconds`.
            NotConnected: before the publisher is entered.
        """
        if not self._entered:
            raise NotConnected("this process has not reached the broker since it was started")
        producer = None
        try:
            async with asyncio.timeout(self._settings.send_seconds):
                producer = await self._connected()
                futures = [await _enqueue(producer, envelope) for envelope in envelopes]
                results = await asyncio.gather(*futures, return_exceptions=True)
        except MessageSizeTooLargeError:  # raised here, before the batch has a number
            raise
        except (KafkaError, TimeoutError):
            self._give_up(producer)
            raise
        for result in results:
            if isinstance(result, BaseException):
                self._give_up(producer)
                raise result

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=15_000,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _give_up(self, producer: AIOKafkaProducer | None) -> None:
        """Close a producer. The next `send` connects another one; sends in progress may still succeed."""
        if producer is not None and producer is self._producer:
            self._producer = None
            task = asyncio.create_task(_end(producer))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _enqueue(producer: AIOKafkaProducer, envelope: Envelope) -> asyncio.Future[object]:
    future: asyncio.Future[object] = await producer.send(
        envelope.topic, value=envelope.body, key=envelope.key.encode(), headers=list(envelope.headers)
    )
    return future


async def _end(producer: AIOKafkaProducer) -> None:
    """Close a producer, and drop what the broker does not take in time. `stop` alone would wait for ever."""
    try:
        await asyncio.wait_for(producer.stop(), FLUSH_SECONDS)
    except TimeoutError:
        log.warning("producer_dropped")
        with suppress(TimeoutError):  # a request in flight ends only when it times out
            await asyncio.wait_for(internals.drop_batches(producer), FLUSH_SECONDS)
        await producer.client.close()
