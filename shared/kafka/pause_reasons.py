"""Reasons for which partitions of a consumer are paused: a partition resumes when the last one is gone."""

from collections.abc import Callable, Iterable
from enum import Enum, auto

from aiokafka import TopicPartition


class Reason(Enum):
    """Why nothing is fetched from a partition."""

    HANDLING = auto()
    """A batch is being handled."""
    DAMAGED = auto()
    """A batch could not be unpacked, and is fetched again later."""
    REQUESTED = auto()
    """The subscription has paused it."""


class PauseReasons:
    """The reasons by partition.

    Args:
        paused: returns the partitions that are paused now. A new assignment begins with none.
        pause: stops fetching.
        resume: fetches again.
    """

    def __init__(
        self,
        paused: Callable[[], set[TopicPartition]],
        pause: Callable[..., None],
        resume: Callable[..., None],
    ) -> None:
        self._paused = paused
        self._pause = pause
        self._resume = resume
        self._reasons: dict[TopicPartition, set[Reason]] = {}

    def add(self, reason: Reason, partitions: Iterable[TopicPartition]) -> None:
        """Pause partitions for a reason."""
        self._forget_old_assignments()
        for tp in partitions:
            self._pause(tp)
            self._reasons.setdefault(tp, set()).add(reason)

    def remove(self, reason: Reason, partitions: Iterable[TopicPartition] | None = None) -> None:
        """Drop a reason, of all partitions by default, and resume those without another one."""
        self._forget_old_assignments()
        for tp in list(self._reasons) if partitions is None else partitions:
            reasons = self._reasons.get(tp, set())
            if reason in reasons:
                reasons.discard(reason)
                if not reasons:
                    del self._reasons[tp]
                    self._resume(tp)

    def _forget_old_assignments(self) -> None:
        paused = self._paused()
        self._reasons = {tp: reasons for tp, reasons in self._reasons.items() if tp in paused}
