"""One step in a job's life: the changed document and the messages to publish."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from contracts.base import Message, Model, Moment, Provider
from contracts.generation import GenerationCancel, GenerationRequested, Reason
from contracts.ids import AttemptKey, RenderKey
from contracts.jobs import Attempt, ErrorCode, EventKind, Job, JobError, Render
from contracts.renders import RenderCancel, RenderRequested
from services.dispatcher.events import elapsed, image_event, job_event, progress_of, sheet_completed
from services.dispatcher.policies import Policies
from shared.fold import Folded


class CharacterWait(Model):
    """A job's wait for a character that is not stored yet."""

    requested: GenerationRequested
    """Published again when the character is stored."""
    reasons: tuple[Reason, ...]
    """Why the job is rejected when it is not stored in time."""
    since: Moment
    found_at: Moment | None = None
    """When the character was seen first."""


class JobRecord(Job, Folded):
    """The `jobs` document with what the dispatcher keeps for itself."""

    early_cancels: tuple[GenerationCancel, ...] = ()
    """Before its plan told whose it is: one of each other tenant that wanted it stopped, too."""
    wait: CharacterWait | None = None
    """In phase `waiting_for_character`."""


class JobTransition:
    """Collects the changes of one step. Each method tells one thing that happened."""

    def __init__(
        self,
        job: JobRecord,
        now: datetime,
        policies: Policies,
        down: frozenset[Provider] = frozenset(),
    ) -> None:
        self.job = job
        self.now = now
        self.policies = policies
        self.down = down
        self.outputs: list[Message] = []

    def set(self, **fields: Any) -> None:
        """Change fields of the job. What is so already leaves it the same object."""
        if any(getattr(self.job, name) != value for name, value in fields.items()):
            self.job = self.job.model_copy(update=fields | {"updated_at": self.now})

    def set_render(self, index: int, **fields: Any) -> None:
        """Change fields of one render."""
        renders = tuple(
            render.model_copy(update=fields) if render.spec.index == index else render
            for render in self.job.renders
        )
        self.set(renders=renders)

    def event(self, kind: EventKind, **facts: Any) -> None:
        """Say a numbered event and keep it in the document."""
        self.set(seq=self.job.seq + 1)
        event = job_event(self.job, kind, self.now, **facts)
        self.set(events=(*self.job.events, event))
        self.outputs.append(event)

    def progressed(self) -> None:
        """Say a snapshot of all renders."""
        self.outputs.append(job_event(self.job, "progressed", self.now, progress=progress_of(self.job)))

    def start_attempt(self, render: Render, provider: str, priority: int, *, alternatives: bool) -> None:
        """Open the next attempt of a render and command it."""
        job, spec = self.job, render.spec
        attempt = Attempt.model_validate(
            {"n": len(render.attempts) + 1, "provider": provider, "requested_at": self.now}
        )
        self.set_render(
            spec.index,
            state="queued",
            percent=None,
            queue_position=None,
            retry_at=None,
            attempts=(*render.attempts, attempt),
        )
        self.outputs.append(
            RenderRequested(
                attempt_id=str(AttemptKey(job.job_id, spec.index, attempt.n)),
                render_id=str(RenderKey(job.job_id, spec.index)),
                job_id=job.job_id,
                tenant=job.tenant,
                provider=attempt.provider,
                spec=spec,
                model=job.model,
                workflow=job.workflow,
                priority=priority,
                deadline_at=job.deadline_at,
                alternatives=alternatives,
            )
        )

    def close_attempt(self, index: int, n: int, **outcome: Any) -> None:
        """Record how an attempt ended, and the job's cost with it."""
        render = self.job.renders[index]
        attempts = tuple(
            attempt.model_copy(update=outcome) if attempt.n == n else attempt for attempt in render.attempts
        )
        self.set_render(index, attempts=attempts)
        self.set(cost=self.policies.cost_of(self.job))

    def cancel_open_attempts(self, reason: str, *, only: int | None = None) -> None:
        """Command the gateways to stop what still runs, of one render or of all."""
        for render in self.job.renders:
            if only is not None and render.spec.index != only:
                continue
            for attempt in render.attempts:
                if attempt.outcome == "open":
                    self.outputs.append(self._cancel(render, attempt, reason))
                    self.close_attempt(render.spec.index, attempt.n, outcome="cancelled")

    def _cancel(self, render: Render, attempt: Attempt, reason: str) -> RenderCancel:
        job, index = self.job, render.spec.index
        return RenderCancel(
            attempt_id=str(AttemptKey(job.job_id, index, attempt.n)),
            render_id=str(RenderKey(job.job_id, index)),
            job_id=job.job_id,
            tenant=job.tenant,
            provider=attempt.provider,
            reason=reason,
        )

    def start(self) -> None:
        """The first sign of work."""
        if self.job.started_at is None:
            self.set(status="running", phase="rendering", started_at=self.now)
            self.event("started")

    def complete(self) -> None:
        """The job's good end."""
        self._end("completed", None)
        if self.job.type == "character_sheet" and self.job.character_id:
            self.outputs.append(sheet_completed(self.job, self.job.character_id, self.now))

    def fail(self, code: ErrorCode, message: str, **details: Any) -> None:
        """The job's other end; what still runs is cancelled."""
        self.cancel_open_attempts(message[:200])
        self._end("failed", JobError(code=code, message=message, **details))

    def reject(self, reasons: Sequence[Reason]) -> None:
        """Fail the job because its request cannot be done."""
        summary = "; ".join(f"{reason.field}: {reason.message}" for reason in reasons)
        self.fail("rejected", summary[:1000], reasons=tuple(reasons))

    def _account_for_the_rest(self, error: JobError | None) -> None:
        """No image is left open at the end: each one that is not there says why."""
        why = error or JobError(code="deadline_exceeded", message="it was not ready by the deadline")
        for render in self.job.renders:
            if not render.terminal:
                index = render.spec.index
                self.set_render(index, state="failed", error=why, retry_at=None, queue_position=None)
                self.set(failed=self.job.failed + 1)
                self.event("image_failed", image=image_event(self.job.renders[index]))

    def _end(self, status: EventKind, error: JobError | None) -> None:
        self._account_for_the_rest(error)
        self.set(
            status=status,
            phase=None,
            error=error,
            finished_at=self.now,
            wake_at=None,
            elapsed_seconds=elapsed(self.job, self.now),
        )
        self.event(status, error=error, cost=self.job.cost, notices=self.job.notices)
