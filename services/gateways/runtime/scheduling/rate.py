"""A rate limit. Pure: time is an argument, in seconds of any monotonic clock."""


class Rate:
    """At most `per_second` on average, and no burst above one second's worth. None means no limit."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._next = 0.0

    def wait(self, clock: float) -> float:
        """Return the seconds until the next submission is admitted."""
        if not self.per_second:
            return 0.0
        gap = 1.0 / self.per_second
        return max(0.0, self._next + gap - clock - max(1.0, gap))

    def begin(self, clock: float) -> None:
        """Count one submission."""
        if self.per_second:
            self._next = max(self._next, clock) + 1.0 / self.per_second
