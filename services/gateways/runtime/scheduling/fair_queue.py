"""Queue of attempts that wait for a slot: by priority, and in turn between tenants."""

import heapq
import itertools
from collections import deque

from services.gateways.runtime.lifecycle.attempt import Attempt


class FairQueue:
    """Pops the most urgent priority, and within it each tenant's oldest attempt in turn."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, str], deque[Attempt]] = {}
        self._turns: list[tuple[int, int, str]] = []
        self._turn = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, attempt: Attempt) -> None:
        """Append an attempt to its tenant's lane."""
        priority, tenant = attempt.command.priority, attempt.command.tenant
        lane = self._lanes.setdefault((priority, tenant), deque())
        if not lane:
            heapq.heappush(self._turns, (priority, next(self._turn), tenant))
        lane.append(attempt)
        self._size += 1

    def pop(self) -> Attempt:
        """Return the next attempt; its tenant goes to the end of the turns.

        Raises:
            IndexError: the queue is empty.
        """
        priority, _, tenant = heapq.heappop(self._turns)
        lane = self._lanes[priority, tenant]
        attempt = lane.popleft()
        self._size -= 1
        if lane:
            heapq.heappush(self._turns, (priority, next(self._turn), tenant))
        else:
            del self._lanes[priority, tenant]
        return attempt

    def clear(self) -> None:
        """Remove all attempts."""
        self.__init__()  # type: ignore[misc]
