"""Decode records into messages; records that are no message of their topic are reported with a reason."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts.base import Message
from contracts.strictness import CallerMessage, read_message
from contracts.times import CLOCK_SKEW, plausible
from contracts.wording import error_text, field_path
from shared.envelope import Received
from shared.kafka.unpacking import UnreadBatch
from shared.limits import MAX_MESSAGE_BYTES

M = TypeVar("M", bound=Message)


class Unreadable(Exception):
    """A record that is no message of its topic. `reason` is the dead letter's code."""

    def __init__(self, reason: str, error: str, cause: ValidationError | None = None) -> None:
        super().__init__(error)
        self.reason = reason
        self.cause = cause


def header_texts(record: ConsumerRecord) -> dict[str, str]:
    """Return a record's headers as text; bytes that are not UTF-8 become replacement characters."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


def record_time(record: ConsumerRecord, read_at: datetime) -> datetime:
    """Return when the record was written, or the time of reading if the record's time is implausible.

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

    Plain JSON without CloudEvents headers is accepted: the topic determines the type.

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
    at = record_time(record, read_at)
    return Received(
        message=message.dated(at) if isinstance(message, CallerMessage) else message,
        id=headers.get("ce_id") or f"{record.topic}/{record.partition}/{record.offset}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=at,
        trace=headers.get("traceparent") or headers.get("ce_traceparent"),
        batch_start=batch_start,
    )


def read(kind: type[M], body: bytes) -> M:
    """Validate a body: strictly what callers send, tolerantly what our own services send."""
    return read_message(kind, body) if issubclass(kind, CallerMessage) else kind.model_validate_json(body)


def explain(error: ValidationError) -> str:
    """Return a validation error as one line, field by field, without the input."""
    details = error.errors(include_input=False, include_url=False)[:10]
    return "; ".join(f"{field_path(e['loc'])[:200]}: {error_text(e)}" for e in details)
