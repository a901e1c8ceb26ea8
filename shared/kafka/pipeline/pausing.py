"""Pause partitions whose records cannot be handled now, and read them again later."""

from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import TopicPartition

from shared.errors import Backpressure
from shared.kafka.partitions import PausedPartitions
from shared.kafka.pipeline.batch import Batch
from shared.kafka.pipeline.in_hand import BatchInHand
from shared.kafka.pipeline.middleware import BatchMiddleware, ContextRepo, Next
from shared.loops import watched
from shared.transient import is_transient

log = structlog.get_logger()

BATCH_SECONDS = 300.0
"""Limit for one batch, with its retries. A batch that takes longer counts as hung."""


@dataclass(frozen=True, slots=True)
class Pauser:
    """Dependencies of `Pausing`, and the length of pauses.

    Args:
        failed_seconds: pause of a partition whose records could not be handled.
        full_seconds: pause of a partition when this process is full.
    """

    in_hand: BatchInHand
    paused: PausedPartitions
    failed_seconds: float
    full_seconds: float

    def pause(self, tp: TopicPartition, batch: Batch, error: Exception) -> None:
        """Pause a partition that is still ours; it is read again from the first record of the batch."""
        if tp not in self.in_hand.lost:
            full = isinstance(error, Backpressure)
            seconds = self.full_seconds if full else self.failed_seconds
            self.paused.pause(tp, batch.start, batch.consumer, seconds, failed=not full)

    def rest(self, batch: Batch) -> dict[TopicPartition, Batch]:
        """Return what is not done of a batch, by partition."""
        parts = {tp: part.after(self.in_hand.is_done) for tp, part in batch.partitions().items()}
        return {tp: part for tp, part in parts.items() if part.entries}


class Pausing(BatchMiddleware):
    """The outermost middleware. It raises nothing: after an error FastStream would skip the batch.

    After a failure each partition is handled alone, so that one does not hold up the others. A partition
    that fails again is paused.
    """

    def __init__(self, msg: Any, /, *, context: ContextRepo, pauser: Pauser) -> None:
        super().__init__(msg, context=context)
        self._pauser = pauser

    async def handle(self, proceed: Next, batch: Batch) -> None:
        """Handle a batch to its end."""
        pauser = self._pauser
        async with pauser.in_hand.handling():
            with watched(f"batch of {batch.topic}", BATCH_SECONDS):
                if await _failure(proceed, batch) is None:
                    pauser.paused.handled(batch.ends())
                    return
                for tp, part in pauser.rest(batch).items():
                    if error := await _failure(proceed, part.without_retry()):
                        pauser.pause(tp, pauser.rest(part).get(tp, part), error)
                    else:
                        pauser.paused.handled([tp])


async def _failure(proceed: Next, batch: Batch) -> Exception | None:
    try:
        await proceed(batch)
    except Exception as error:
        if not is_transient(error):
            log.exception("batch_failed", topic=batch.topic)
        return error
    return None
