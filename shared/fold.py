"""Stateful handlers as a fold: load by key, apply pure functions, write guarded, publish, commit.

A message that was applied before changes nothing and has the same outputs again: outputs are stored
beside their cause in the same write. They are trimmed when a later batch of the same partition is
handled: everything before that batch is published and committed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

from contracts.base import Message, Model
from shared.envelope import Envelope, Outgoing, Received, encode

MAX_RACES = 20


class StoredMessage(Model):
    """An encoded message, stored beside its cause until the cause is committed."""

    topic: str
    key: str
    headers: dict[str, str]
    body: str

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        """Return the stored form of an envelope."""
        headers = {name: value.decode() for name, value in envelope.headers}
        return cls(topic=envelope.topic, key=envelope.key, headers=headers, body=envelope.body.decode())

    def envelope(self) -> Envelope:
        """Return the envelope, byte for byte."""
        headers = tuple((name, value.encode()) for name, value in self.headers.items())
        return Envelope(self.topic, self.key, headers, self.body.encode())


class Handled(Model):
    """A message that changed a document, and its outputs."""

    id: str
    topic: str
    partition: int
    offset: int
    outputs: tuple[StoredMessage, ...] = ()

    def without_outputs(self, prefix: str) -> Self:
        """Return the same message without its outputs to topics that begin with `prefix`."""
        left = tuple(stored for stored in self.outputs if not stored.topic.startswith(prefix))
        return self.model_copy(update={"outputs": left})


class Folded(Model):
    """A document that a fold keeps: with a version for its guard, and the messages that changed it."""

    version: int = 0
    handled: tuple[Handled, ...] = ()

    def stored_as(self, *, version: int, handled: tuple[Handled, ...]) -> Self:
        """Return the document to be written."""
        return self.model_copy(update={"version": version, "handled": handled})


D = TypeVar("D", bound=Folded)
Apply = Callable[[D | None, Received[Any]], tuple[D | None, Sequence[Message]]]
"""Pure: the document and a message to the new document (the same object if nothing changed) and outputs."""
KeyOf = Callable[[Received[Any]], str]
"""The key of the document that a message is about."""


class Documents(Protocol[D]):
    """Storage of the documents."""

    async def load(self, keys: Iterable[str]) -> dict[str, D]:
        """Return the documents that exist, by key."""

    async def save(self, documents: dict[str, D]) -> set[str]:
        """Write documents whose stored version is one less than their own; return the keys of the others."""


def message_key(received: Received[Any]) -> str:
    """Return the value that keeps messages of this type in order."""
    return str(getattr(received.message, received.message.key))


async def fold(
    batch: Sequence[Received[Any]],
    documents: Documents[D],
    apply: Apply[D],
    *,
    source: str,
    key: KeyOf = message_key,
    snapshot: Callable[[Message], bool] = lambda _: False,
) -> list[Outgoing]:
    """Apply a batch to its documents and return the outputs.

    Messages of one document may have different keys, and so be handled by different processes at once.
    The guard of each write decides which write is first; the loser loads and applies again. Outputs for
    which `snapshot` holds are not stored, and only the last one of each document is published.
    """
    outputs: list[Outgoing] = []
    todo = [(key(received), received) for received in batch]
    for _ in range(MAX_RACES):
        before = await documents.load({name for name, _ in todo})
        after, outgoing_by_key = _apply_all(todo, before, apply, source, snapshot)
        changed = {name: document for name, document in after.items() if document is not before.get(name)}
        lost = await documents.save(changed)
        outputs += [outgoing for name, outgoing in outgoing_by_key if name not in lost]
        if not lost:
            return outputs
        todo = [(name, received) for name, received in todo if name in lost]
    raise TimeoutError(f"{len(todo)} documents lost {MAX_RACES} races in a row")


def _apply_all(
    todo: Sequence[tuple[str, Received[Any]]],
    before: dict[str, D],
    apply: Apply[D],
    source: str,
    snapshot: Callable[[Message], bool],
) -> tuple[dict[str, D], list[tuple[str, Outgoing]]]:
    after = dict(before)
    batch = [received for _, received in todo]
    outputs: list[tuple[str, Outgoing]] = []
    snapshots: dict[str, int] = {}
    for key, received in todo:
        cause = (received.topic, received.partition)
        document = after.get(key)
        if document is not None and (known := _find(document.handled, received.id)):
            outputs += [(key, Outgoing(message.envelope(), cause=cause)) for message in known.outputs]
            continue
        changed, messages = apply(document, received)
        stored: list[Envelope] = []
        for message in messages:
            if snapshot(message):
                snapshots[key] = len(outputs)
                outputs.append((key, Outgoing(message, received.trace, cause)))
            else:
                stored.append(encode(message, source=source, trace=received.trace))
                outputs.append((key, Outgoing(stored[-1], cause=cause)))
        if changed is not None and changed is not document:
            version = (before[key].version if key in before else 0) + 1
            handled = (*_untrimmed(changed.handled, batch), _handled(received, stored))
            after[key] = changed.stored_as(version=version, handled=handled)
    return after, [
        (key, outgoing)
        for place, (key, outgoing) in enumerate(outputs)
        if isinstance(outgoing.message, Envelope) or snapshots[key] == place
    ]


def _find(handled: Iterable[Handled], message_id: str) -> Handled | None:
    return next((known for known in handled if known.id == message_id), None)


def _handled(received: Received[Any], outputs: Sequence[Envelope]) -> Handled:
    return Handled(
        id=received.id,
        topic=received.topic,
        partition=received.partition,
        offset=received.offset,
        outputs=tuple(StoredMessage.of(envelope) for envelope in outputs),
    )


def _untrimmed(handled: Iterable[Handled], batch: Sequence[Received[Any]]) -> Iterable[Handled]:
    """Return the messages that may be delivered again: all but those before this batch in its partition."""
    starts = {(received.topic, received.partition): received.batch_start for received in batch}
    return (known for known in handled if known.offset >= starts.get((known.topic, known.partition), 0))
