"""A publisher whose broker is a list, and messages as if they came from Kafka."""

from collections.abc import Sequence
from typing import TypeVar

from contracts.base import Message, id_of, topic_of
from shared.clock import now
from shared.envelope import Envelope, Received
from shared.errors import TransientError
from shared.kafka.publisher import Publisher
from shared.settings import KafkaSettings

M = TypeVar("M", bound=Message)


class BrokerAway(TransientError):
    """The fake broker does not answer."""


class FakePublisher(Publisher):
    """Encodes as the real one does and keeps what is sent, unless it is away."""

    def __init__(self, source: str = "test") -> None:
        super().__init__(source, KafkaSettings(bootstrap="nowhere:1"))
        self.sent: list[Envelope] = []
        self.away = False

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        if self.away:
            raise BrokerAway("the broker is away")
        self.sent += envelopes

    def published(self, kind: type[M]) -> list[M]:
        """Return the messages of one kind, in order."""
        return [kind.model_validate_json(sent.body) for sent in self.sent if sent.topic == kind.topic]

    said = published


def received(message: M, offset: int = 0) -> Received[M]:
    """Return a message as a handler receives it."""
    return Received(
        message=message,
        id=id_of(message),
        topic=topic_of(message),
        partition=0,
        offset=offset,
        at=now(),
        trace=None,
        batch_start=0,
    )
