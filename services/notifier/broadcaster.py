"""Every event of every job → the open streams of this process that subscribe to it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from contracts.jobs import JobEvent
from services.notifier.subscriber_queue import SubscriberQueue
from shared.envelope import Received

SubscriptionKey = tuple[str, ...]
"""`(job_id,)` or `(tenant, user_id)`."""


class Broadcaster:
    """Distributes events to the queues of open streams."""

    def __init__(self) -> None:
        self._open: dict[SubscriptionKey, set[SubscriberQueue]] = defaultdict(set)

    def join(self, key: SubscriptionKey) -> SubscriberQueue:
        """Open a queue for the events of one job or of one user."""
        queue = SubscriberQueue()
        self._open[key].add(queue)
        return queue

    def leave(self, key: SubscriptionKey, queue: SubscriberQueue) -> None:
        """Close the queue of a stream that has ended."""
        self._open[key].discard(queue)
        if not self._open[key]:
            del self._open[key]

    def deliver(self, batch: Sequence[Received[Any]]) -> None:
        """Put each event of a batch into the queues that subscribe to it."""
        for received in batch:
            event: JobEvent = received.message
            for key in ((event.job_id,), (event.tenant, event.user_id)):
                for queue in self._open.get(key, ()):
                    queue.put(event)

    def all_fall_behind(self) -> None:
        """Make every stream read the documents, because events may be missing."""
        for queue in self._all():
            queue.fall_behind()

    def close(self) -> None:
        """End every stream; clients reconnect and resume where they were."""
        for queue in self._all():
            queue.close()

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[SubscriberQueue]:
        return [queue for queues in self._open.values() for queue in queues]
