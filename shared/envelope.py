"""Messages on their way: received, to be sent, and encoded as CloudEvents 1.0 in Kafka's binary mode."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar, cast

from contracts.base import Message, id_of, key_of, topic_of
from shared.clock import now

C = TypeVar("C", bound=Message, covariant=True)
N = TypeVar("N", bound=Message)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An encoded message: `ce_*` headers around a JSON body."""

    topic: str
    key: str
    headers: tuple[tuple[str, bytes], ...]
    body: bytes

    @property
    def id(self) -> str:
        """The CloudEvents id."""
        return dict(self.headers)["ce_id"].decode()


@dataclass(frozen=True, slots=True)
class Received(Generic[C]):
    """A valid message, with its place in the log and the trace to continue."""

    message: C
    id: str
    topic: str
    partition: int
    offset: int
    at: datetime
    """When the record was written; see `record_time`."""
    trace: str | None
    batch_start: int
    """First offset of this partition in the batch. Everything before it is published and committed."""

    def with_message(self, message: N) -> "Received[N]":
        """Return another message in the place of this one."""
        return Received(
            message,
            self.id,
            self.topic,
            self.partition,
            self.offset,
            self.at,
            self.trace,
            self.batch_start,
        )

    def continued(self, trace: str | None) -> "Received[C]":
        """Return the same message in the trace of the span that handles it."""
        return replace(self, trace=trace or self.trace)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, and the trace that it continues."""

    message: Message | Envelope
    trace: str | None = None
    cause: tuple[str, int] | None = None
    """Topic and partition of the record that caused it. It is not published once that partition is lost."""


def caused_by(cause: Received[Message], *messages: Message | Envelope) -> list[Outgoing]:
    """Return the outputs of a received message."""
    return [Outgoing(message, cause.trace, (cause.topic, cause.partition)) for message in messages]


def of_type(batch: Iterable[Received[Message]], kind: type[N]) -> list[Received[N]]:
    """Return the messages of one type."""
    return [cast(Received[N], received) for received in batch if isinstance(received.message, kind)]


def encode(message: Message, *, source: str, trace: str | None, at: datetime | None = None) -> Envelope:
    """Encode a message. The same message always has the same id."""
    topic = topic_of(message)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id_of(message).encode()),
        ("ce_source", f"/imagegen/{source}".encode()),
        ("ce_type", topic.encode()),
        (
            "ce_time",
            (at or now()).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode(),
        ),
        ("content-type", b"application/json"),
    ]
    if trace:
        headers.append(("traceparent", trace.encode()))
    return Envelope(topic, key_of(message), tuple(headers), message.model_dump_json().encode())
