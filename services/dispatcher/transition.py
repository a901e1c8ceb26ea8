"""One transition of a job: the changed document and the messages to publish. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Unpack

from contracts.base import Message, Provider
from contracts.generation import Reason
from contracts.ids import AttemptKey, RenderKey
from contracts.jobs import Attempt, ErrorCode, EventKind, JobError, Render
from contracts.renders import RenderCancel, RenderRequested
from services.dispatcher.changes import AttemptChanges, RenderChanges, with_attempt, with_render
from services.dispatcher.events import (
    EventFacts,
    elapsed,
    image_event,
    job_event,
    progress_of,
    sheet_completed,
)
from services.dispatcher.job_record import JobChanges, JobRecord, with_job
from services.dispatcher.policies import Policies

Ending = Literal["completed", "failed"]


class JobTransition:
    """Collects the changes and outputs of one message. Each method applies one thing that happened."""

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

    def set(self, **changes: Unpack[JobChanges]) -> None:
        """Change fields of the job. Equal values leave it the same object."""
        if any(getattr(self.job, name) != value for name, value in changes.items()):
            self.job = with_job(with_job(self.job, updated_at=self.now), **changes)

    def set_render(self, index: int, **changes: Unpack[RenderChanges]) -> None:
        """Change fields of one render."""
        renders = tuple(
            with_render(render, **changes) if render.spec.index == index else render
            for render in self.job.renders
        )
        self.set(renders=renders)

    def event(self, kind: EventKind, **facts: Unpack[EventFacts]) -> None:
        """Publish a numbered event and keep it in the document."""
        self.set(seq=self.job.seq + 1)
        event = job_event(self.job, kind, self.now, **facts)
        self.set(events=(*self.job.events, event))
        self.outputs.append(event)

    def progressed(self) -> None:
        """Publish a snapshot of all renders."""
        self.outputs.append(job_event(self.job, "progressed", self.now, progress=progress_of(self.job)))

    def start_attempt(self, render: Render, provider: Provider, priority: int, *, alternatives: bool) -> None:
        """Open the next attempt of a render and publish its command."""
        job, spec = self.job, render.spec
        attempt = Attempt(n=len(render.attempts) + 1, provider=provider, requested_at=self.now)
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

    def close_attempt(self, index: int, n: int, **outcome: Unpack[AttemptChanges]) -> None:
        """Record the outcome of an attempt, and the job's cost with it."""
        attempts = tuple(
            with_attempt(attempt, **outcome) if attempt.n == n else attempt
            for attempt in self.job.renders[index].attempts
        )
        self.set_render(index, attempts=attempts)
        self.set(cost=self.policies.cost_of(self.job))

    def cancel_open_attempts(self, reason: str, *, only: int | None = None) -> None:
        """Cancel the open attempts of one render or of all."""
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
        """Mark the job as running at the first sign of work."""
        if self.job.started_at is None:
            self.set(status="running", phase="rendering", started_at=self.now)
            self.event("started")

    def complete(self) -> None:
        """Complete the job."""
        self._end("completed", None)
        if self.job.type == "character_sheet" and self.job.character_id:
            self.outputs.append(sheet_completed(self.job, self.job.character_id, self.now))

    def fail(self, code: ErrorCode, message: str, *, reasons: tuple[Reason, ...] = ()) -> None:
        """Fail the job and cancel its open attempts."""
        self.cancel_open_attempts(message[:200])
        self._end("failed", JobError(code=code, message=message, reasons=reasons))

    def reject(self, reasons: Sequence[Reason]) -> None:
        """Fail the job because its request cannot be fulfilled."""
        summary = "; ".join(f"{reason.field}: {reason.message}" for reason in reasons)
        self.fail("rejected", summary[:1000], reasons=tuple(reasons))

    def _fail_open_renders(self, error: JobError | None) -> None:
        """Fail the renders that have not ended, each with a reason."""
        why = error or JobError(code="deadline_exceeded", message="it was not ready by the deadline")
        for render in self.job.renders:
            if not render.terminal:
                index = render.spec.index
                self.set_render(index, state="failed", error=why, retry_at=None, queue_position=None)
                self.set(failed=self.job.failed + 1)
                self.event("image_failed", image=image_event(self.job.renders[index]))

    def _end(self, status: Ending, error: JobError | None) -> None:
        self._fail_open_renders(error)
        self.set(
            status=status,
            phase=None,
            error=error,
            finished_at=self.now,
            wake_at=None,
            elapsed_seconds=elapsed(self.job, self.now),
        )
        self.event(status, error=error, cost=self.job.cost, notices=self.job.notices)
