"""Failing steps of attempts in log, metrics and health.

A step that fails for one attempt only is named in health. One that fails for several attempts, and
succeeds for none, ends readiness.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from services.gateways.runtime.lifecycle.attempt import Attempt, State
from shared.loops import Loop, watching

FAILING_SECONDS: Final = 60.0
"""How long every step of a kind must fail before health names it."""
FORGET_SECONDS: Final = 90.0
"""Failures that are not repeated within this time count as over. A failed step is repeated within 30 s."""
STEPS: Final[dict[State, str]] = {
    "accepted": "submit step",
    "submitting": "resolve step",
    "unknown": "resolve step",
    "submitted": "poll step",
}


class StepHealth:
    """The failures of each kind of step since its last success, over all attempts."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Show the failures in health while the block runs."""
        with ExitStack() as loops:
            for name in dict.fromkeys(STEPS.values()):
                watched = watching(
                    name,
                    math.inf,
                    vital=False,
                    failing_seconds=FAILING_SECONDS,
                    forget_seconds=FORGET_SECONDS,
                )
                self._kinds[name] = _Kind(loops.enter_context(watched))
            yield

    def failed(self, attempt: Attempt, state: State, error: Exception) -> None:
        """Note a step that failed, by the state in which it began."""
        if state in STEPS:
            self._kinds[STEPS[state]].failed(attempt.id, error)

    def succeeded(self, state: State) -> None:
        """Note a step that went well, by the state in which it began."""
        if state in STEPS:
            self._kinds[STEPS[state]].succeeded()


class _Kind:
    """One kind of step. The process cannot work without it when it fails for more than one attempt."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._first: str | None = None
        self._failed_at = 0.0

    def failed(self, attempt_id: str, error: Exception) -> None:
        time = asyncio.get_running_loop().time()
        if self._first is None or time - self._failed_at > FORGET_SECONDS:
            self._first, self._loop.vital = attempt_id, False
        self._failed_at = time
        self._loop.vital |= attempt_id != self._first
        self._loop.failed(error)

    def succeeded(self) -> None:
        self._first, self._loop.vital = None, False
        self._loop.succeeded()
