"""Find the messages of a batch that cannot be handled, and publish an answer for each of them."""

from dataclasses import replace
from typing import Any

from contracts.operations import DeadLetter
from shared.kafka.pipeline.answers import Answers
from shared.kafka.pipeline.batch import Batch, Entry
from shared.kafka.pipeline.middleware import BatchMiddleware, ContextRepo, Next
from shared.observability import metrics
from shared.transient import is_transient


class DeadLetters(BatchMiddleware):
    """Halves a batch that fails for good, until each message that causes it is alone.

    An answer is published together with the next messages that can be handled, or at the end: a batch of
    nothing but invalid records is published and committed once.
    """

    def __init__(self, msg: Any, /, *, context: ContextRepo, answers: Answers) -> None:
        super().__init__(msg, context=context)
        self._answers = answers
        self._answered: list[Entry] = []

    async def handle(self, proceed: Next, batch: Batch) -> None:
        """Handle all messages of a batch that can be handled. Raises transient errors only."""
        self._answered = []  # of an attempt that failed; its records come again
        await self._divide(proceed, self._readable(batch))
        if self._answered:
            await self._pass_on(proceed, replace(batch, entries=[]))

    def _readable(self, batch: Batch) -> Batch:
        if not any(entry.unreadable for entry in batch.entries):
            return batch
        return replace(batch, entries=[self._read(entry) for entry in batch.entries])

    def _read(self, entry: Entry) -> Entry:
        if entry.unreadable is None:
            return entry
        return entry._replace(answer=self._answers.for_unreadable(entry.record, entry.unreadable))

    async def _divide(self, proceed: Next, batch: Batch) -> None:
        try:
            await self._pass_on(proceed, batch)
        except Exception as error:
            messages = len(batch.messages)
            if is_transient(error) or not messages:
                raise
            if messages == 1:
                self._answered += [self._failed(entry, error) for entry in batch.entries]
                return
            for half in batch.halves():
                await self._divide(proceed, half)

    def _failed(self, entry: Entry, error: Exception) -> Entry:
        if entry.message is None:
            return entry
        return Entry(entry.record, answer=self._answers.for_failed(entry.record, entry.message, error))

    async def _pass_on(self, proceed: Next, batch: Batch) -> None:
        if self._answered:
            batch = replace(batch, entries=[*self._answered, *batch.entries])
        await proceed(batch)
        self._answered = []
        for answer in batch.answers:
            if isinstance(letter := answer.message, DeadLetter):
                metrics.dead_letters.labels(self._answers.service, letter.reason).inc()
