"""State of the batch in hand, shared by the middlewares of one subscription and its rebalance listener."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from shared.kafka.partitions import PausedPartitions


class BatchInHand(ConsumerRebalanceListener):  # type: ignore[misc]
    """Knows which partitions were revoked from the batch in hand, and how far it has got.

    Args:
        paused: the paused partitions of the subscription; a revoked one is no longer paused.
        revoke_seconds: how long a revocation waits for the batch to end.
    """

    def __init__(self, paused: PausedPartitions, revoke_seconds: float) -> None:
        self.lost: set[TopicPartition] = set()
        """Partitions revoked while the batch was handled: nothing is published or committed for them."""
        self._done: dict[TopicPartition, int] = {}
        self._paused = paused
        self._revoke_seconds = revoke_seconds
        self._busy = asyncio.Lock()

    @asynccontextmanager
    async def handling(self) -> AsyncIterator[None]:
        """Hold back revocations while a batch is handled."""
        async with self._busy:
            self.lost.clear()
            self._done.clear()
            yield

    def may_publish(self, cause: tuple[str, int] | None) -> bool:
        """Return whether the partition of a cause (topic, partition) is still ours."""
        return cause is None or TopicPartition(*cause) not in self.lost

    def finish(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Note that all outputs before these offsets are published; return the offsets to commit."""
        self._done |= ends
        return {tp: end for tp, end in ends.items() if tp not in self.lost}

    def is_done(self, tp: TopicPartition, offset: int) -> bool:
        """Return whether the outputs of a record are published already."""
        return offset < self._done.get(tp, 0)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the batch in hand finish; if it does not, nothing is published for these partitions."""
        try:
            async with asyncio.timeout(self._revoke_seconds):
                await self._busy.acquire()
        except TimeoutError:
            self.lost |= set(revoked)
        else:
            self._busy.release()
        self._paused.handled(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Do nothing: reading restarts at the committed offset."""
