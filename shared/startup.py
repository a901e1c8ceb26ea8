"""Servers that a process waits for at start-up, for health and for early requests."""

from shared.observability.health import Health


class Startup:
    """Open waits by server. Until `finish` the process is not ready."""

    def __init__(self, health: Health) -> None:
        health.add("start", self.problem)
        self._waits: dict[str, str] = {}
        self._finished = False

    def report(self, what: str, why: str | None) -> None:
        """Report what start-up waits for; None: no longer. See `Report`."""
        if why is None:
            self._waits.pop(what, None)
        else:
            self._waits[what] = why

    def finish(self) -> None:
        """Report that the process is ready."""
        self._finished = True

    def summary(self) -> str:
        """Return all waits in one line."""
        return "; ".join(self._waits.values()) or "starting"

    async def problem(self) -> str | None:
        """For health: what start-up waits for."""
        return self.summary() if self._waits or not self._finished else None
