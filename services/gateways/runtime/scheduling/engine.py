"""Schedule the steps of attempts: one step at a time each, and no task for a waiting attempt.

An attempt is either ready (to be submitted, by priority) or due at some time (to be resolved, polled or
tried again). A bounded number of steps runs at once; everything else is in two heaps. An attempt that
waits with nothing sent has no slot: it returns to the queue when its pause is over.
"""

import asyncio
import heapq
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from weakref import WeakValueDictionary

import structlog

from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import Release, Wait
from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY
from services.gateways.runtime.scheduling.fair_queue import FairQueue
from services.gateways.runtime.scheduling.step_health import StepHealth
from shared.loops import watched
from shared.transient import is_transient

log = structlog.get_logger()

Step = Callable[[Attempt], Awaitable[Wait | Release]]
"""Takes the next step of an attempt; returns when to take the one after, or that there is none."""

MAX_STEPS = 128
"""Maximum number of steps at once."""
STEP_LIMIT = 600.0
"""Seconds after which a step counts as hung: the longest submissions upload files first."""
MAX_DUE_STEPS = 96
"""Maximum number of steps at once of attempts that were sent before, so that new ones can begin."""
TRANSIENT_RETRY = 1.0
ERROR_RETRY = 30.0


class Engine:
    """Schedules the steps of this process's attempts.

    Args:
        step: see `Step`. A step that raises is repeated, soon after a transient error.
        slots: maximum number of attempts between submission and end.
        admission_delay: seconds in which none may begin; the queue keeps its order meanwhile.
        max_in_memory: maximum number of attempts, waiting or not; callers check `full` before `add`.
    """

    def __init__(
        self,
        step: Step,
        slots: int,
        admission_delay: Callable[[], float] = lambda: 0.0,
        max_in_memory: int = MAX_IN_MEMORY,
    ) -> None:
        self._step = step
        self._max_in_memory = max_in_memory
        self.slots = slots
        self._admission_delay = admission_delay
        self._ready = FairQueue()
        self._due: list[tuple[float, int, Attempt]] = []
        self._order = itertools.count()
        self._held: dict[str, Attempt] = {}
        self._by_external_id: WeakValueDictionary[str, Attempt] = WeakValueDictionary()
        self._started: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._health = StepHealth()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, attempt_id: object) -> bool:
        return attempt_id in self._held

    @property
    def full(self) -> bool:
        """True if no attempt may be added until some have ended."""
        return len(self._held) >= self._max_in_memory

    @property
    def in_flight(self) -> int:
        """Number of attempts with a slot."""
        return len(self._started)

    @property
    def room(self) -> int:
        """Number of attempts that would get a slot at once if they were added now."""
        return max(0, self.slots - len(self._started) - len(self._ready))

    def sent(self) -> list[Attempt]:
        """Return the attempts that the provider may have."""
        return [each for each in map(self._held.__getitem__, self._started) if each.state != "accepted"]

    def resize(self, slots: int) -> None:
        """Change the number of slots; an attempt that has one keeps it."""
        if slots != self.slots:
            self.slots = slots
            self._changed.set()

    def add(self, attempts: Iterable[Attempt], poll_within: float = 0.0) -> None:
        """Work on these attempts.

        Attempts that only need a poll are spread at random over the next `poll_within` seconds.
        """
        for attempt in attempts:
            if attempt.id in self._held:
                continue
            self._held[attempt.id] = attempt
            self._by_external_id[attempt.request.idempotency_key] = attempt
            if attempt.state == "accepted":
                self._ready.push(attempt)
            else:
                self._started.add(attempt.id)
                only_polled = attempt.ref is not None and not attempt.cancel
                self._schedule(attempt, random.uniform(0.0, poll_within) if only_polled else 0.0)
        self._changed.set()

    def cancel(self, attempt_ids: Iterable[str]) -> None:
        """Note a cancel request; attempts of this process take their next step now."""
        for attempt_id in attempt_ids:
            attempt = self._held.get(attempt_id)
            if attempt is not None and not attempt.cancel:
                attempt.cancel = True
                self._schedule(attempt, 0.0)
                self._changed.set()

    def poll_now(self, attempt_id: str) -> bool:
        """Take the next step of a sent attempt now; return False if this process does not have it."""
        attempt = self._held.get(attempt_id)
        if attempt is None:
            return False
        attempt.poll_requested = True
        due = attempt.due <= asyncio.get_running_loop().time()  # and keeps its turn
        if not attempt.busy and not due and attempt.state != "accepted":
            self._schedule(attempt, 0.0)
            self._changed.set()
        return True

    def poll_all_now(self) -> None:
        """Take the next step of every sent attempt now."""
        for attempt_id in self._started:
            self.poll_now(attempt_id)

    def by_external_id(self, external_id: str) -> Attempt | None:
        """Return the attempt of this process that the provider knows by this id."""
        attempt = self._by_external_id.get(external_id)
        return attempt if attempt and self._held.get(attempt.id) is attempt else None

    def drop_all(self) -> None:
        """Forget everything: the lease was lost, and a successor takes over."""
        self._held.clear()
        self._started.clear()
        self._ready.clear()
        self._due.clear()

    async def run(self) -> None:
        """Work until cancelled; running steps are finished first."""
        with self._health.watched():
            try:
                while True:
                    self._changed.clear()
                    self._start_ready_steps()
                    await self._sleep()
            finally:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=5.0)

    def _start_ready_steps(self) -> None:
        time = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= time and len(self._tasks) < MAX_DUE_STEPS:
            due, _, attempt = heapq.heappop(self._due)
            if due == attempt.due:
                self._continue(attempt)
        while self._one_may_begin() and not self._admission_delay():
            attempt = self._ready.pop()
            if self._held.get(attempt.id) is attempt:
                self._started.add(attempt.id)
                self._run_step(attempt)

    def _one_may_begin(self) -> bool:
        free = len(self._started) < self.slots and len(self._tasks) < MAX_STEPS
        return free and len(self._ready) > 0

    def _continue(self, attempt: Attempt) -> None:
        """Take a due step. A submission needs a slot first, unless it is cancelled."""
        if attempt.state != "accepted" or attempt.cancel or attempt.busy:
            self._run_step(attempt)
        elif self._held.get(attempt.id) is attempt:
            self._ready.push(attempt)

    def _run_step(self, attempt: Attempt) -> None:
        if self._held.get(attempt.id) is not attempt or attempt.busy:
            return
        attempt.busy = True
        task = asyncio.create_task(self._take_step(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._step_done)

    def _step_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _take_step(self, attempt: Attempt) -> None:
        cancelled, attempt.poll_requested = attempt.cancel, False
        try:
            result = await self._watched_step(attempt)
        finally:
            attempt.busy = False
        if self._held.get(attempt.id) is not attempt:
            return  # dropped meanwhile; another object may be held under this id now
        match result:
            case Release():
                del self._held[attempt.id]
                self._started.discard(attempt.id)
            case Wait(earliest, latest):
                pause = random.uniform(earliest, latest)
                self._schedule_next(attempt, pause if attempt.cancel == cancelled else 0.0)

    async def _watched_step(self, attempt: Attempt) -> Wait | Release:
        state, errors = attempt.state, attempt.facts.unexpected_errors
        try:
            with watched("attempt step", STEP_LIMIT):
                result = await self._step(attempt)
        except Exception as error:
            self._health.failed(attempt, state, error)
            log.exception("step_failed", attempt_id=attempt.id, state=attempt.state)
            pause = TRANSIENT_RETRY if is_transient(error) else ERROR_RETRY
            return Wait(pause, pause)
        if attempt.facts.unexpected_errors == errors:  # else it was given up for an error that came before
            self._health.succeeded(state)
        return result

    def _schedule_next(self, attempt: Attempt, pause: float) -> None:
        if attempt.state == "accepted":
            self._started.discard(attempt.id)
        elif attempt.poll_requested:
            pause = 0.0
        if attempt.ref is not None:
            self._by_external_id[attempt.ref["id"]] = attempt
        self._schedule(attempt, pause)

    def _schedule(self, attempt: Attempt, pause: float) -> None:
        """Set the only next step of an attempt; an earlier entry for it is void."""
        attempt.due = asyncio.get_running_loop().time() + pause
        heapq.heappush(self._due, (attempt.due, next(self._order), attempt))

    async def _sleep(self) -> None:
        pause: float | None = None
        if self._due and len(self._tasks) < MAX_DUE_STEPS:
            pause = max(0.0, self._due[0][0] - asyncio.get_running_loop().time())
        if self._one_may_begin():
            pause = min(self._admission_delay(), pause if pause is not None else math.inf)
        try:
            async with asyncio.timeout(pause):  # in Python 3.11 `wait_for` may lose a cancellation
                await self._changed.wait()
        except TimeoutError:
            return
