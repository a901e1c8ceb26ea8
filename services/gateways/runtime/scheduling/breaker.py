"""A circuit breaker: after consecutive failures nothing is sent for a while, then one probe.

Pure: time is an argument, in seconds of any monotonic clock.
"""

from dataclasses import dataclass
from typing import Literal

Circuit = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class Breaker:
    """Guards one provider in one process.

    Args:
        failures_to_open: consecutive failures that open the circuit.
        pause, longest: seconds for which it stays open; doubled with every failed probe.
        probe: seconds after which another probe is sent if the outcome of the first is not reported.
    """

    failures_to_open: int = 5
    pause: float = 5.0
    longest: float = 60.0
    probe: float = 60.0
    state: Circuit = "closed"
    reason: str = ""
    _failures: int = 0
    _opened: int = 0
    _until: float = 0.0
    _probing_until: float = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until something may be sent. In state half_open that is the probe."""
        if self.state == "closed":
            return 0.0
        if self.state == "open":
            if now < self._until:
                return self._until - now
            self.state, self._probing_until = "half_open", 0.0
        return 1.0 if now < self._probing_until else 0.0

    def begin(self, now: float) -> None:
        """Note that something is being sent."""
        if self.state == "half_open":
            self._probing_until = now + self.probe

    def abandoned(self) -> None:
        """Note that it was not sent after all: the next may be the probe."""
        self._probing_until = 0.0

    def succeeded(self) -> None:
        """Note that the provider answered."""
        self.state, self.reason = "closed", ""
        self._failures = self._opened = 0

    def failed(self, now: float, reason: str) -> None:
        """Note that the provider is away, busy or broken; the rejection of one request is no failure."""
        self._failures += 1
        self.reason = reason
        if self.state == "half_open" or (self.state == "closed" and self._failures >= self.failures_to_open):
            self._until = now + min(self.longest, self.pause * 2**self._opened)
            self._opened += 1
            self.state = "open"
