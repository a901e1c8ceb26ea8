"""Says messages on Kafka and returns when the broker has them."""

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
    """The broker may have neither our topics nor us yet."""


class Publisher:
    """A producer with `acks=all`, idempotent where the broker knows that. One per process, for many tasks.

    A producer that did not deliver is replaced before anything else is sent: an idempotent one
    numbers its batches, and behind a gap the broker takes nothing more from it.
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
        """Wait for the broker, telling so, and be ready to send."""
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
        """Whether the broker has been reached."""
        return self._entered

    def encode(self, outgoing: Outgoing) -> Envelope:
        """The wire form; an envelope stays as it is."""
        if isinstance(outgoing.message, Envelope):
            return outgoing.message
        return encode(outgoing.message, source=self.source, trace=outgoing.trace)

    async def publish(self, outputs: Iterable[Outgoing]) -> None:
        """Send all and wait for the broker's acknowledgement of each; order holds per key.

        Raises:
            KafkaError: of the first that was not acknowledged. The others may have been.
        """
        await self.send([self.encode(outgoing) for outgoing in outputs])

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """As `publish`, for messages in wire form.

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
        except MessageSizeTooLargeError:  # by us, before it got a number
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
        """The next `send` connects anew; others that still wait for this one may be lucky."""
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
    """Close it. What the broker does not take meanwhile is dropped: `stop` alone would wait for ever."""
    try:
        await asyncio.wait_for(producer.stop(), FLUSH_SECONDS)
    except TimeoutError:
        log.warning("producer_dropped")
        with suppress(TimeoutError):  # its request in flight ends only when it times out
            await asyncio.wait_for(internals.drop_batches(producer), FLUSH_SECONDS)
        await producer.client.close()
