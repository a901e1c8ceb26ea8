"""A broker and an outbox store in memory."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from contracts.base import Message
from contracts.generation import GenerationCancel, GenerationRequested
from shared.envelope import Envelope
from shared.errors import TransientError
from shared.outbox import OutboxEntry, OutboxStore, PendingEntry

M = TypeVar("M", bound=Message)


class BrokerAway(TransientError):
    """The fake broker does not answer."""


class FakeBroker:
    """Accepts envelopes, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.tries = 0
        self.sent: list[Envelope] = []

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        self.tries += 1
        if self.away:
            raise BrokerAway("the broker is away")
        self.sent += envelopes

    def published(self, kind: type[M]) -> list[M]:
        """Return the messages of one kind, in order."""
        return [kind.model_validate_json(sent.body) for sent in self.sent if sent.topic == kind.topic]

    def requests(self) -> list[GenerationRequested]:
        return self.published(GenerationRequested)

    def cancels(self) -> list[GenerationCancel]:
        return self.published(GenerationCancel)


class FakeOutboxStore(OutboxStore):
    """Outbox entries by document id."""

    def __init__(self) -> None:
        self.entries: dict[str, OutboxEntry] = {}

    async def pending(self, ids: Iterable[str]) -> list[PendingEntry]:
        return [PendingEntry(id=key, entry=self.entries[key]) for key in ids if key in self.entries]

    async def overdue(self, before: datetime, limit: int) -> list[PendingEntry]:
        due = sorted((entry.at, key) for key, entry in self.entries.items() if entry.at <= before)
        return await self.pending(key for _, key in due[:limit])

    async def remove(self, entries: Sequence[PendingEntry]) -> None:
        for each in entries:
            if each.id in self.entries and self.entries[each.id].at == each.entry.at:
                del self.entries[each.id]
