"""Dead letters and what was done about them: two topics, read to their ends."""

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
class Letter:
    """A dead letter, and what was done about it."""

    id: str
    """`{service}/{topic}/{partition}/{offset}` of the record that could not be handled."""
    letter: DeadLetter
    resolved: DeadLetterResolved | None = None


def letters_of(records: Iterable[ConsumerRecord]) -> list[Letter]:
    """All letters, oldest first. The same letter said twice is one; what is no letter is passed over."""
    letters: dict[str, DeadLetter] = {}
    resolved: dict[str, DeadLetterResolved] = {}
    for record in records:
        try:
            received = decode(record, KINDS, record.offset, now())
        except Unreadable:
            continue
        match received.message:
            case DeadLetter() as letter:
                letters.setdefault(received.id, letter)
            case DeadLetterResolved() as done:
                resolved[done.letter_id] = done
    found = [
        Letter(letter_id.removeprefix(PREFIX), letter, resolved.get(letter_id))
        for letter_id, letter in letters.items()
    ]
    return sorted(found, key=lambda each: (each.letter.at, each.id))


def replay_of(letter: DeadLetter) -> Envelope:
    """The record as it was, which says that it comes again."""
    headers = letter.original_headers | {ATTEMPT_HEADER: str(letter.attempts + 1)}
    return Envelope(
        topic=letter.original_topic,
        key=letter.original_key,
        headers=tuple((name, text.encode()) for name, text in headers.items()),
        body=base64.b64decode(letter.original_value),
    )


def resolution_of(letter: Letter, action: str, note: str) -> Envelope:
    """Return the record by which later lists know that nothing is left to do."""
    done = DeadLetterResolved.model_validate(
        {"letter_id": f"{PREFIX}{letter.id}", "action": action, "note": note, "at": now()}
    )
    return encode(done, source="operator", trace=None)


async def say(producer: AIOKafkaProducer, envelopes: Sequence[Envelope]) -> None:
    """One after the other, each acknowledged before the next: a replay before its resolution."""
    for envelope in envelopes:
        await producer.send_and_wait(
            envelope.topic,
            value=envelope.body,
            key=envelope.key.encode(),
            headers=list(envelope.headers),
        )
