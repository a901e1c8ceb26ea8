"""Progress lines that `up` prints while the stack starts."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from deploy.local.state import ProcessState, StackState

QUIET_SECONDS = 5.0
"""Seconds without output after which `up` reports the processes that it waits for."""
ANSWER_SECONDS = 1.0

Reason = Callable[[ProcessState], str]


class Progress:
    """Reports the progress of a starting stack: one line for each process that became ready."""

    def __init__(self, report: Callable[[str], None], reason: Reason, clock: Callable[[], float]) -> None:
        self._report = report
        self._reason = reason
        self._clock = clock
        self._started = self._last = clock()
        self._ready: set[str] = set()

    def show(self, state: StackState) -> None:
        """Report the processes that became ready since the last call, and a long wait."""
        for name, process in state.processes.items():
            if process.ready and name not in self._ready:
                self._ready.add(name)
                self._line(f"{name} is ready at {process.address} (after {self._elapsed():.1f} s)")
        if self._clock() - self._last >= QUIET_SECONDS:
            waiting = [name for name in state.processes if name not in self._ready]
            reasons = ", ".join(f"{name}{self._reason(state.processes[name])}" for name in waiting)
            self._line(f"waiting for {reasons or 'the first process'} ({self._elapsed():.0f} s so far)")

    def _elapsed(self) -> float:
        return self._clock() - self._started

    def _line(self, text: str) -> None:
        self._last = self._clock()
        self._report(text)


def reason_of(process: ProcessState) -> str:
    """Return the problems in the process's health answer as ` (name: problem)`, or an empty string."""
    if process.kind != "service":
        return ""
    try:
        with _direct.open(f"{process.address}/health/ready", timeout=ANSWER_SECONDS) as answer:
            body = answer.read()
    except urllib.error.HTTPError as refused:
        body = refused.read()
    except OSError:
        return ""
    try:
        problems = json.loads(body).get("problems", {})
    except ValueError:
        return ""
    return f" ({'; '.join(f'{name}: {problem}' for name, problem in problems.items())})" if problems else ""


def starting_now(report: Callable[[str], None]) -> Progress:
    """Return the progress of a stack that starts now."""
    return Progress(report, reason_of, time.monotonic)


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
