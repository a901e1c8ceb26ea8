"""CloudEvents 1.0 in Kafka's binary mode: `ce_*` headers around a JSON body."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts.base import Message, id_of, key_of, topic_of
from contracts.strictness import CallerMessage, read_message
from contracts.times import CLOCK_SKEW, plausible
from contracts.wording import message_of
from shared.clock import now
from shared.kafka.unpacking import UnreadBatch
from shared.limits import MAX_MESSAGE_BYTES

M = TypeVar("M", bound=Message)
C = TypeVar("C", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it goes over the wire."""

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
    """When the record was written, as `record_time` reads it."""
    trace: str | None
    batch_start: int
    """The first offset of this partition in the batch: all before it is published and committed."""

    def continued(self, trace: str | None) -> "Received[C]":
        """The same, in the trace of the span that handles it."""
        return replace(self, trace=trace or self.trace)


class Unreadable(Exception):
    """A record that is no message of its topic. `reason` is the dead letter's code."""

    def __init__(self, reason: str, error: str, cause: ValidationError | None = None) -> None:
        super().__init__(error)
        self.reason = reason
        self.cause = cause


def encode(message: Message, *, source: str, trace: str | None, at: datetime | None = None) -> Envelope:
    """Wrap a message; the same message gives the same id, whenever it is said."""
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


def header_texts(record: ConsumerRecord) -> dict[str, str]:
    """A record's headers as text; bytes that are no UTF-8 become replacement characters."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


def record_time(record: ConsumerRecord, read_at: datetime) -> datetime:
    """Return when the record was written; a time that cannot be right is the time of reading.

    Producers send -1, zero, seconds, nanoseconds or a clock that is ahead.
    """
    try:
        written = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return read_at
    return plausible(written, read_at, CLOCK_SKEW)


def decode(
    record: ConsumerRecord, kinds: Mapping[str, type[Message]], batch_start: int, read_at: datetime
) -> Received[Message]:
    """Read a record as the message that its topic carries.

    Plain JSON without CloudEvents headers is accepted: the topic says what it is.

    Raises:
        Unreadable: with a reason that names what is wrong and where.
    """
    if isinstance(record, UnreadBatch):
        raise Unreadable(record.reason, record.error)
    if len(record.value or b"") > MAX_MESSAGE_BYTES:
        raise Unreadable("too_large", f"{len(record.value)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    headers = header_texts(record)
    declared = headers.get("ce_type", record.topic)
    if declared != record.topic:
        raise Unreadable("wrong_type", f"ce_type is {declared[:100]!r}, this topic carries {record.topic!r}")
    kind = kinds[record.topic]
    try:
        message = read(kind, record.value or b"")
    except ValidationError as error:
        reason = "not_json" if error.errors()[0]["type"] == "json_invalid" else "invalid"
        raise Unreadable(reason, explain(error), error) from None
    return Received(
        message=message,
        id=headers.get("ce_id") or f"{record.topic}/{record.partition}/{record.offset}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=record_time(record, read_at),
        trace=headers.get("traceparent") or headers.get("ce_traceparent"),
        batch_start=batch_start,
    )


def read(kind: type[M], body: bytes) -> M:
    """Read what callers send strictly, and what our services send tolerantly."""
    return read_message(kind, body) if issubclass(kind, CallerMessage) else kind.model_validate_json(body)


def explain(error: ValidationError) -> str:
    """A validation error in one line: field by field, without the input."""
    details = error.errors(include_input=False, include_url=False)[:10]
    return "; ".join(f"{'.'.join(map(str, e['loc']))[:200] or 'body'}: {message_of(e)}" for e in details)
