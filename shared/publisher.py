"""Says messages on Kafka and returns when the broker has them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from contracts.base import Message
from shared.envelope import Envelope, Received, encode
from shared.settings import KafkaSettings
from shared.waiting import wait_until_up

MAX_MESSAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to say, and the trace that it continues."""

    message: Message | Envelope
    trace: str | None = None
    cause: tuple[str, int] | None = None
    """Topic and partition of the record that caused it: not said once that partition is lost."""


def caused_by(cause: Received[Message], *messages: Message | Envelope) -> list[Outgoing]:
    """What a received message makes us say."""
    return [Outgoing(message, cause.trace, (cause.topic, cause.partition)) for message in messages]


class Publisher:
    """A producer with `acks=all`. One per process; safe to use from many tasks."""

    def __init__(self, source: str, settings: KafkaSettings) -> None:
        self.source = source
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "Publisher":
        settings = self._settings

        async def connect() -> AIOKafkaProducer:
            producer = AIOKafkaProducer(
                bootstrap_servers=settings.bootstrap,
                acks="all",
                enable_idempotence=settings.idempotence,
                max_request_size=MAX_MESSAGE_BYTES,
                request_timeout_ms=15_000,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            return producer

        self._producer = await wait_until_up(
            "Kafka", settings.bootstrap, connect, seconds=settings.startup_seconds
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()

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
        """As `publish`, for messages in wire form."""
        assert self._producer is not None, "enter the publisher first"
        futures = [
            await self._producer.send(
                envelope.topic,
                value=envelope.body,
                key=envelope.key.encode(),
                headers=list(envelope.headers),
            )
            for envelope in envelopes
        ]
        for result in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
