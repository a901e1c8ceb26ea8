"""Works off attempts: one step at a time, none waiting in a task of its own.

An attempt is either ready (to be submitted, by priority) or due at some time (to be settled,
polled, or tried again). A bounded number of steps runs at once; everything else is two heaps.
Who waits with nothing sent has no slot: it comes back to the line when its pause is over.
"""

import asyncio
import heapq
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from weakref import WeakValueDictionary

import structlog

from services.gateways.kit.provider import MAX_IN_MEMORY
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.scheduling.fair_queue import FairQueue
from services.gateways.runtime.scheduling.step_health import StepHealth
from shared.loops import watched
from shared.transient import is_transient

log = structlog.get_logger()

Step = Callable[[Attempt], Awaitable[float | None]]
"""Moves an attempt on; returns seconds until its next step, or None at its end."""

STEPS_AT_ONCE = 128
STEP_LIMIT = 600.0
"""Seconds after which a step counts as hung: the longest submissions send files first."""
GOING_ON_AT_ONCE = 96
"""Of those, what was sent before: however much of it is due, something new can begin."""


class Engine:
    """Schedules the steps of this process's attempts.

    Args:
        step: see `Step`. A transient error repeats it in a second, another one in half a minute.
        slots: how many attempts may be between submission and end at once.
        admission_delay: seconds in which none may begin, whichever it is; the line keeps its order meanwhile.
        most: how many may be held, waiting or not; who adds looks at `full` before.
    """

    def __init__(
        self,
        step: Step,
        slots: int,
        admission_delay: Callable[[], float] = lambda: 0.0,
        most: int = MAX_IN_MEMORY,
    ) -> None:
        self._step = step
        self._most = most
        self.slots = slots
        self._admission_delay = admission_delay
        self._ready = FairQueue()
        self._due: list[tuple[float, int, Attempt]] = []
        self._order = itertools.count()
        self._held: dict[str, Attempt] = {}
        self._by_external_id: WeakValueDictionary[str, Attempt] = WeakValueDictionary()
        self._started: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._health = StepHealth()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, attempt_id: object) -> bool:
        return attempt_id in self._held

    @property
    def full(self) -> bool:
        """Whether no more is to be added until some have ended."""
        return len(self._held) >= self._most

    @property
    def in_flight(self) -> int:
        """How many have a slot."""
        return len(self._started)

    @property
    def room(self) -> int:
        """How many of those that are added now would have a slot at once."""
        return max(0, self.slots - len(self._started) - len(self._ready))

    def sent(self) -> list[Attempt]:
        """Those that may be at the provider."""
        return [each for each in map(self._held.__getitem__, self._started) if each.state != "accepted"]

    def resize(self, slots: int) -> None:
        """From now on so many may have a slot; what has one keeps it."""
        if slots != self.slots:
            self.slots = slots
            self._news.set()

    def add(self, attempts: Iterable[Attempt], within: float = 0.0) -> None:
        """Work on these: what has to be sent, or settled, or stopped, as soon as it can be.

        What only has to be polled goes on `within` so many seconds.
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
                self._schedule(attempt, random.uniform(0.0, within) if only_polled else 0.0)
        self._news.set()

    def cancel(self, attempt_ids: Iterable[str]) -> None:
        """Someone wants these stopped: those that are ours take their next step now."""
        for attempt_id in attempt_ids:
            attempt = self._held.get(attempt_id)
            if attempt is not None and not attempt.cancel:
                attempt.cancel = True
                self._schedule(attempt, 0.0)
                self._news.set()

    def poll_now(self, attempt_id: str) -> bool:
        """Something was heard of it: if it was sent, its next step is now. False: it is not ours."""
        attempt = self._held.get(attempt_id)
        if attempt is None:
            return False
        attempt.poll_requested = True
        due = attempt.due <= asyncio.get_running_loop().time()  # and keeps its turn
        if not attempt.busy and not due and attempt.state != "accepted":
            self._schedule(attempt, 0.0)
            self._news.set()
        return True

    def poll_all_now(self) -> None:
        """Nothing was heard for a while: look at everything that was sent."""
        for attempt_id in self._started:
            self.poll_now(attempt_id)

    def by_external_id(self, external_id: str) -> Attempt | None:
        """Our attempt that the provider knows by this id."""
        attempt = self._by_external_id.get(external_id)
        return attempt if attempt and self._held.get(attempt.id) is attempt else None

    def drop_all(self) -> None:
        """Forget everything: it is another's now."""
        self._held.clear()
        self._started.clear()
        self._ready.clear()
        self._due.clear()

    async def run(self) -> None:
        """Work until cancelled; steps in hand are finished first."""
        with self._health.watched():
            try:
                while True:
                    self._news.clear()
                    self._start_what_may()
                    await self._sleep()
            finally:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=5.0)

    def _start_what_may(self) -> None:
        time = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= time and len(self._tasks) < GOING_ON_AT_ONCE:
            due, _, attempt = heapq.heappop(self._due)
            if due == attempt.due:
                self._go_on(attempt)
        while self._one_may_begin() and not self._admission_delay():
            attempt = self._ready.pop()
            if self._held.get(attempt.id) is attempt:
                self._started.add(attempt.id)
                self._run_step(attempt)

    def _one_may_begin(self) -> bool:
        free = len(self._started) < self.slots and len(self._tasks) < STEPS_AT_ONCE
        return free and len(self._ready) > 0

    def _go_on(self, attempt: Attempt) -> None:
        """What is to be sent needs a slot first; a cancelled one is not going to be sent."""
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
        self._news.set()

    async def _take_step(self, attempt: Attempt) -> None:
        cancelled, attempt.poll_requested = attempt.cancel, False
        state, errors = attempt.state, attempt.errors
        try:
            with watched("attempt step", STEP_LIMIT):
                pause = await self._step(attempt)
            if attempt.errors == errors:  # else it was given up for an error that came before
                self._health.succeeded(state)
        except Exception as error:
            pause = 1.0 if is_transient(error) else 30.0
            self._health.failed(attempt, state, error)
            log.exception("step_failed", attempt_id=attempt.id, state=attempt.state)
        finally:
            attempt.busy = False
        if self._held.get(attempt.id) is not attempt:
            return  # dropped meanwhile; what is held under this id now is a later life of it
        if pause is None:
            del self._held[attempt.id]
            self._started.discard(attempt.id)
        else:
            if attempt.state == "accepted":
                self._started.discard(attempt.id)
            if attempt.ref is not None:
                self._by_external_id[attempt.ref["id"]] = attempt
            poll_requested = attempt.poll_requested and attempt.state != "accepted"
            self._schedule(attempt, pause if attempt.cancel == cancelled and not poll_requested else 0.0)

    def _schedule(self, attempt: Attempt, pause: float) -> None:
        """The only next step of an attempt; an earlier date for it is void."""
        attempt.due = asyncio.get_running_loop().time() + pause
        heapq.heappush(self._due, (attempt.due, next(self._order), attempt))

    async def _sleep(self) -> None:
        pause: float | None = None
        if self._due and len(self._tasks) < GOING_ON_AT_ONCE:
            pause = max(0.0, self._due[0][0] - asyncio.get_running_loop().time())
        if self._one_may_begin():
            pause = min(self._admission_delay(), pause if pause is not None else math.inf)
        try:
            async with asyncio.timeout(pause):  # in Python 3.11 `wait_for` may lose our end
                await self._news.wait()
        except TimeoutError:
            return
