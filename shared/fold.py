"""Stateful handlers as a fold: load by key, apply pure functions, write guarded, say, commit.

A message that was applied before changes nothing and says again what it said then: the outputs
are stored beside their cause in the same write. They are trimmed once a later batch of the same
partition is handled, for then everything before it is published and committed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

from contracts.base import Message, Model
from shared.envelope import Envelope, Outgoing, Received, encode

MAX_RACES = 20


class StoredMessage(Model):
    """A message as it was first published, kept beside its cause until that is safely handled."""

    topic: str
    key: str
    headers: dict[str, str]
    body: str

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        """Keep an envelope."""
        headers = {name: value.decode() for name, value in envelope.headers}
        return cls(topic=envelope.topic, key=envelope.key, headers=headers, body=envelope.body.decode())

    def envelope(self) -> Envelope:
        """The same bytes again."""
        headers = tuple((name, value.encode()) for name, value in self.headers.items())
        return Envelope(self.topic, self.key, headers, self.body.encode())


class Handled(Model):
    """A message that changed a document, and what was said because of it."""

    id: str
    topic: str
    partition: int
    offset: int
    said: tuple[StoredMessage, ...] = ()


class Folded(Model):
    """What a document that a fold keeps has: a version for its guard, and its causes."""

    version: int = 0
    handled: tuple[Handled, ...] = ()


D = TypeVar("D", bound=Folded)
Apply = Callable[[D | None, Received[Any]], tuple[D | None, Sequence[Message]]]
"""Pure: the document and a message to the new document (the same object if nothing changed) and outputs."""
KeyOf = Callable[[Received[Any]], str]
"""The key of the document that a message is about."""


class Documents(Protocol[D]):
    """Where the documents are kept."""

    async def load(self, keys: Iterable[str]) -> dict[str, D]:
        """Those that exist, by key."""

    async def save(self, documents: dict[str, D]) -> set[str]:
        """Write all whose stored version is one less than their own; return the keys that lost."""


def message_key(received: Received[Any]) -> str:
    """The value that keeps messages of its kind in order."""
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
    """Apply a batch to its documents and return what is to be said.

    Messages of one document may have other keys, and so lie in other partitions and processes:
    the guard of each write settles who was first, and the other folds again. Messages for which
    `snapshot` holds are not stored; only the last of each document is said.
    """
    outputs: list[Outgoing] = []
    todo = [(key(received), received) for received in batch]
    for _ in range(MAX_RACES):
        before = await documents.load({name for name, _ in todo})
        after, said = _apply_all(todo, before, apply, source, snapshot)
        changed = {name: document for name, document in after.items() if document is not before.get(name)}
        lost = await documents.save(changed)
        outputs += [outgoing for name, outgoing in said if name not in lost]
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
    said: list[tuple[str, Outgoing]] = []
    snapshots: dict[str, int] = {}
    for key, received in todo:
        cause = (received.topic, received.partition)
        document = after.get(key)
        if document is not None and (known := _find(document.handled, received.id)):
            said += [(key, Outgoing(message.envelope(), cause=cause)) for message in known.said]
            continue
        changed, messages = apply(document, received)
        lasting: list[Envelope] = []
        for message in messages:
            if snapshot(message):
                snapshots[key] = len(said)
                said.append((key, Outgoing(message, received.trace, cause)))
            else:
                lasting.append(encode(message, source=source, trace=received.trace))
                said.append((key, Outgoing(lasting[-1], cause=cause)))
        if changed is not None and changed is not document:
            version = (before[key].version if key in before else 0) + 1
            handled = (*_untrimmed(changed.handled, batch), _remember(received, lasting))
            after[key] = changed.model_copy(update={"version": version, "handled": handled})
    return after, [
        (key, outgoing)
        for place, (key, outgoing) in enumerate(said)
        if isinstance(outgoing.message, Envelope) or snapshots[key] == place
    ]


def _find(handled: Iterable[Handled], message_id: str) -> Handled | None:
    return next((known for known in handled if known.id == message_id), None)


def _remember(received: Received[Any], said: Sequence[Envelope]) -> Handled:
    return Handled(
        id=received.id,
        topic=received.topic,
        partition=received.partition,
        offset=received.offset,
        said=tuple(StoredMessage.of(envelope) for envelope in said),
    )


def _untrimmed(handled: Iterable[Handled], batch: Sequence[Received[Any]]) -> Iterable[Handled]:
    """What may still have to be said again: all but what lies before this batch in its partition."""
    starts = {(received.topic, received.partition): received.batch_start for received in batch}
    return (known for known in handled if known.offset >= starts.get((known.topic, known.partition), 0))
