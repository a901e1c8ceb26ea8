"""Background loops that neither fail nor hang in silence."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import structlog

from shared.observability import metrics
from shared.transient import is_transient
from shared.waiting import backoff

log = structlog.get_logger()

TURN_SECONDS = 60.0
"""Default limit for one turn of a loop."""
FAILING_SECONDS = 10.0
"""How long a loop may fail before health says so: shorter outages are over by themselves."""
LONGEST_RETRY_SECONDS = 2.0


class Loop:
    """One loop's, or one long task's, progress.

    Args:
        limit: seconds after which a turn counts as hung.
        vital: False for a loop that the process works without.
        failing_seconds: how long it may fail before it is a problem.
        forget_seconds: seconds after which a failure that is not repeated counts as over.
    """

    def __init__(
        self,
        name: str,
        limit: float,
        loops: "Loops",
        vital: bool = True,
        failing_seconds: float = FAILING_SECONDS,
        forget_seconds: float = math.inf,
    ) -> None:
        self.name = name
        self.vital = vital
        self._limit = limit
        self._failing_seconds = failing_seconds
        self._forget_seconds = forget_seconds
        self._loops = loops
        self._turn_since: float | None = None
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._cause = ""
        self._error = ""
        self.stuck = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Note the beginning and the end of one turn; an error is the caller's."""
        self._turn_since = _time()
        try:
            yield
        finally:
            self._turn_since = None

    def failed(self, error: BaseException) -> bool:
        """Note a turn that failed; the same cause is logged once until a turn succeeds.

        Return whether the cause is new.
        """
        cause = type(error).__name__
        if not self._is_failing():
            self._failing_since, self._cause = _time(), ""
        self._failed_at = _time()
        metrics.loop_errors.labels(self._loops.service, self.name, cause).inc()
        is_new = cause != self._cause
        if is_new:
            log.warning("background_loop_failed", loop=self.name, cause=cause, error=str(error))
        self._cause, self._error = cause, f"{cause}: {error}"
        return is_new

    def succeeded(self) -> None:
        """Note a turn that was completed."""
        if self._failing_since is not None:
            log.info("background_loop_recovered", loop=self.name, after=self._cause)
        self._failing_since, self._cause = None, ""
        metrics.loop_turn.labels(self._loops.service, self.name).set_to_current_time()

    def problem(self) -> str | None:
        """Return the reason why the loop hangs or keeps failing, else None."""
        if self._turn_since is not None and (since := _time() - self._turn_since) > self._limit:
            return f"hangs in one turn for {since:.0f} s (limit {self._limit:g} s)"
        if self._failing_since is not None and self._is_failing():
            since = _time() - self._failing_since
            if since > self._failing_seconds:
                return f"keeps failing for {since:.0f} s: {self._error}"
        return None

    def _is_failing(self) -> bool:
        """True if it failed since its last success, and not too long ago."""
        return self._failing_since is not None and _time() - self._failed_at <= self._forget_seconds


class Loops:
    """The loops of one process, watched together."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._loops: set[Loop] = set()

    @contextmanager
    def watching(
        self,
        name: str,
        limit: float,
        vital: bool = True,
        failing_seconds: float = FAILING_SECONDS,
        forget_seconds: float = math.inf,
    ) -> Iterator[Loop]:
        """Watch a loop while the block runs. See `Loop`."""
        loop = Loop(name, limit, self, vital, failing_seconds, forget_seconds)
        self._loops.add(loop)
        try:
            yield loop
        finally:
            self._loops.discard(loop)
            self._set_stuck(loop, None)

    def problems(self, *, vital: bool = True) -> str | None:
        """For health: the loops that hang or keep failing."""
        watched = [loop for loop in self._loops if loop.vital == vital]
        found = {loop.name: problem for loop in watched if (problem := loop.problem())}
        return "; ".join(f"{name} {found[name]}" for name in sorted(found)) or None

    def examine(self) -> None:
        """Log and count what began or ceased to be stuck."""
        for loop in list(self._loops):
            self._set_stuck(loop, loop.problem())

    def _set_stuck(self, loop: Loop, problem: str | None) -> None:
        if bool(problem) == loop.stuck:
            return
        loop.stuck = bool(problem)
        metrics.loops_stuck.labels(self.service, loop.name).inc(1 if problem else -1)
        if problem:
            log.error("background_loop_stuck", loop=loop.name, problem=problem)


current: ContextVar[Loops] = ContextVar("loops")
"""The process's loops; tasks inherit it from the service that starts them."""


def watching(
    name: str,
    limit: float,
    *,
    vital: bool = True,
    failing_seconds: float = FAILING_SECONDS,
    forget_seconds: float = math.inf,
) -> AbstractContextManager[Loop]:
    """Watch a loop of another shape than `every`: it notes its turns and failures by itself."""
    return _loops().watching(name, limit, vital, failing_seconds, forget_seconds)


@contextmanager
def watched(name: str, limit: float = TURN_SECONDS) -> Iterator[None]:
    """Report the block's work as stuck when it takes longer than `limit` seconds."""
    with _loops().watching(name, limit) as loop, loop.turn():
        yield


async def every(
    interval: float,
    work: Callable[[], Awaitable[object]],
    *,
    name: str,
    limit: float = TURN_SECONDS,
    wake: asyncio.Event | None = None,
    jitter: float = 0.0,
    survives: bool = False,
    vital: bool = True,
) -> None:
    """Call `work` every `interval` seconds until cancelled.

    Transient errors are logged once per cause, counted, and tried again after growing pauses.

    Args:
        limit: seconds after which a turn counts as hung.
        wake: when it is set, the next turn begins at once.
        jitter: share of the interval by which it varies, so that several processes do not meet.
        survives: whether errors that are not transient are treated like the others.
        vital: False for a loop that the process works without.

    Raises:
        Exception: what `work` raised, when it is not transient.
    """
    with _loops().watching(name, limit, vital) as loop:
        pauses = _retries(interval)
        while True:
            if wake is not None:
                wake.clear()
            try:
                with loop.turn():
                    await work()
            except Exception as error:
                if not survives and not is_transient(error):
                    raise
                if loop.failed(error) and not is_transient(error):
                    log.exception("background_loop_unexpected_error", loop=name)
                await asyncio.sleep(next(pauses))
            else:
                loop.succeeded()
                pauses = _retries(interval)
                await _sleep(interval * random.uniform(1 - jitter, 1 + jitter), wake)


def _retries(interval: float) -> Iterator[float]:
    return backoff(min(max(interval, 0.2), 0.5), max(interval, LONGEST_RETRY_SECONDS))


async def _sleep(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return


def _loops() -> Loops:
    return current.get(None) or Loops("unknown")


def _time() -> float:
    return asyncio.get_running_loop().time()
