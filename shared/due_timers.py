"""Documents whose `wake_at` has come → messages that make their service look at them again."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from shared.clock import Clock, now
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.loops import every
from shared.mongo import Collection, Document, due_by

TICK_SECONDS = 0.25
REPEAT_SECONDS = 10.0
"""Time after which a message is published again if its document has not moved."""
PAGE = 500


class DueTimers:
    """Publishes the messages of due documents. Every instance does; handlers ignore repetitions."""

    def __init__(
        self,
        collection: Collection,
        publisher: Publisher,
        messages_of: Callable[[Document], Iterable[Outgoing]],
        *,
        fields: Sequence[str],
        now: Clock = now,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        self._collection = collection
        self._publisher = publisher
        self._messages_of = messages_of
        self._fields = dict.fromkeys(("wake_at", *fields), 1)
        self._now = now
        self._tick_seconds = tick_seconds
        self._published: dict[tuple[str, datetime], float] = {}

    async def run(self) -> None:
        """Publish due messages until cancelled; wait for a server that is away."""
        await every(self._tick_seconds, self.publish_due, name="timers")

    async def publish_due(self) -> None:
        """Publish once for all due documents, page by page: after an outage all of them may be due."""
        clock = asyncio.get_running_loop().time()
        recent = {key: at for key, at in self._published.items() if clock - at < REPEAT_SECONDS}
        self._published = recent
        due = self._collection.find({"wake_at": due_by(self._now())}, self._fields).batch_size(PAGE)
        page: dict[tuple[str, datetime], Document] = {}
        async for document in due:
            key = (document["_id"], document["wake_at"])
            if key not in self._published:
                page[key] = document
            if len(page) == PAGE:
                await self._publish(page)
                page = {}
        await self._publish(page)

    async def _publish(self, page: dict[tuple[str, datetime], Document]) -> None:
        if page:
            outputs = [output for document in page.values() for output in self._messages_of(document)]
            await self._publisher.publish(outputs)
            self._published |= dict.fromkeys(page, asyncio.get_running_loop().time())
