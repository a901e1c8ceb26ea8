"""Dead letters: records that cannot be handled, with the reason and the place they came from."""

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
"""Header of a replayed record: its number of attempts. 2 is the first replay."""
KEEP_HEADERS = 32 * 1024
"""Number of characters of headers that are kept: the dead letter itself must fit into a message."""
KEEP_BYTES = 4 * 1024 * 1024
"""A larger value is cut. The original stays in its topic until the retention ends."""


def dead_letter(record: ConsumerRecord, *, service: str, reason: str, error: str) -> DeadLetter:
    """Return the dead letter for a record. Its value is encoded as base64."""
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
    """Return the number of attempts in a record's header. Without the header it is the first."""
    number = headers.get(ATTEMPT_HEADER, "")
    return max(1, int(number)) if number.isdecimal() and len(number) < 10 else 1


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    left = KEEP_HEADERS
    for name, text in headers.items():
        kept[name[:left]] = text[:left]
        left -= len(name) + len(text)
        if left <= 0:
            break
    return kept
