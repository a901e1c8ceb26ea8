"""Sets aside what cannot be handled: as it was, with the reason and where it came from."""

import base64
from collections.abc import Mapping

import structlog
from aiokafka import ConsumerRecord

from contracts.operations import DeadLetter
from shared.clock import now
from shared.kafka.decoding import header_texts
from shared.kafka.unpacking import UnreadBatch

log = structlog.get_logger()

ATTEMPT_HEADER = "imagegen-attempt"
"""A record that is replayed says so: 2 is the first replay."""
KEEP_HEADERS = 32 * 1024
"""So many characters of headers are kept: the letter itself must fit into a message."""
KEEP_BYTES = 4 * 1024 * 1024
"""A larger value is cut here; the whole of it stays at its origin until that topic's retention ends."""


def dead_letter(record: ConsumerRecord, *, service: str, reason: str, error: str) -> DeadLetter:
    """The letter for a record, bytes kept as base64."""
    value, headers = record.value or b"", header_texts(record)
    log.warning(
        "message_dead_lettered",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        error=error[:500],
    )
    return DeadLetter(
        service=service,
        reason=reason,
        error=error[:4000],
        original_topic=record.topic,
        original_partition=record.partition,
        original_offset=record.offset,
        original_key=(record.key or b"").decode("utf-8", "replace")[:512],
        original_headers=_kept(headers),
        original_value=base64.b64encode(value[:KEEP_BYTES]).decode(),
        cut=len(value) > KEEP_BYTES or isinstance(record, UnreadBatch),
        attempts=attempts_of(headers),
        at=now(),
    )


def attempts_of(headers: Mapping[str, str]) -> int:
    """How often a record was given to its consumers, as its header says; at first it has none."""
    said = headers.get(ATTEMPT_HEADER, "")
    return max(1, int(said)) if said.isdecimal() and len(said) < 10 else 1


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    left = KEEP_HEADERS
    for name, text in headers.items():
        kept[name[:left]] = text[:left]
        left -= len(name) + len(text)
        if left <= 0:
            break
    return kept
