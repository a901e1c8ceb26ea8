"""Dead letters and their resolutions, read from two topics."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, ConsumerRecord

from contracts.operations import DeadLetter, DeadLetterResolved
from shared.clock import now
from shared.envelope import Envelope, encode
from shared.kafka.dead_letters import ATTEMPT_HEADER
from shared.kafka.decoding import Unreadable, decode

PREFIX = "dead-letters:"
KINDS = {kind.topic: kind for kind in (DeadLetter, DeadLetterResolved)}


@dataclass(frozen=True)
class DeadLetterView:
    """A dead letter with its resolution, if it has one."""

    id: str
    """`{service}/{topic}/{partition}/{offset}` of the record that failed."""
    message: DeadLetter
    resolution: DeadLetterResolved | None = None


def views_of(records: Iterable[ConsumerRecord]) -> list[DeadLetterView]:
    """Return all dead letters, oldest first. Duplicates and unreadable records are skipped."""
    messages: dict[str, DeadLetter] = {}
    resolutions: dict[str, DeadLetterResolved] = {}
    for record in records:
        try:
            received = decode(record, KINDS, record.offset, now())
        except Unreadable:
            continue
        match received.message:
            case DeadLetter() as message:
                messages.setdefault(received.id, message)
            case DeadLetterResolved() as resolution:
                resolutions[resolution.letter_id] = resolution
    views = [
        DeadLetterView(message_id.removeprefix(PREFIX), message, resolutions.get(message_id))
        for message_id, message in messages.items()
    ]
    return sorted(views, key=lambda view: (view.message.at, view.id))


def replay_of(message: DeadLetter) -> Envelope:
    """Return the original record with its attempt number increased."""
    headers = message.original_headers | {ATTEMPT_HEADER: str(message.attempts + 1)}
    return Envelope(
        topic=message.original_topic,
        key=message.original_key,
        headers=tuple((name, text.encode()) for name, text in headers.items()),
        body=base64.b64decode(message.original_value),
    )


def resolution_of(view: DeadLetterView, action: str, note: str) -> Envelope:
    """Return the record that marks a dead letter as resolved."""
    resolution = DeadLetterResolved.model_validate(
        {"letter_id": f"{PREFIX}{view.id}", "action": action, "note": note, "at": now()}
    )
    return encode(resolution, source="operator", trace=None)


async def publish(producer: AIOKafkaProducer, envelopes: Sequence[Envelope]) -> None:
    """Publish one record after the other, so that no resolution precedes its replay."""
    for envelope in envelopes:
        await producer.send_and_wait(
            envelope.topic,
            value=envelope.body,
            key=envelope.key.encode(),
            headers=list(envelope.headers),
        )
