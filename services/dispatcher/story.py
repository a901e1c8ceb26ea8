"""One step in a job's life as it is written: the changed document and what is to be said."""

from datetime import datetime
from typing import Any

from contracts.base import Message, Provider
from contracts.jobs import (
    Attempt,
    CharacterSheetCompleted,
    ErrorCode,
    EventKind,
    ImageEvent,
    Job,
    JobError,
    JobEvent,
    Render,
    RenderProgress,
)
from contracts.renders import RenderCancel, RenderRequested
from services.dispatcher.policies import Policies
from shared.fold import Folded


class JobRecord(Job, Folded):
    """The `jobs` document with what the dispatcher keeps for itself."""


class Story:
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
        self.said: list[Message] = []

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
        event = self._event(kind, **facts)
        self.set(events=(*self.job.events, event))
        self.said.append(event)

    def progressed(self) -> None:
        """Say a snapshot of all renders."""
        progress = tuple(
            RenderProgress(
                index=render.spec.index,
                state=render.state,
                percent=render.percent,
                queue_position=render.queue_position,
            )
            for render in self.job.renders
        )
        self.said.append(self._event("progressed", progress=progress))

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
        self.said.append(
            RenderRequested(
                attempt_id=f"{job.job_id}/{spec.index}/{attempt.n}",
                render_id=f"{job.job_id}/{spec.index}",
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
        """Write down how an attempt ended."""
        render = self.job.renders[index]
        attempts = tuple(
            attempt.model_copy(update=outcome) if attempt.n == n else attempt for attempt in render.attempts
        )
        self.set_render(index, attempts=attempts)

    def cancel_open_attempts(self, reason: str, *, only: int | None = None) -> None:
        """Command the gateways to stop what still runs, of one render or of all."""
        for render in self.job.renders:
            if only is not None and render.spec.index != only:
                continue
            for attempt in render.attempts:
                if attempt.outcome == "open":
                    self.said.append(self._cancel(render, attempt, reason))
                    self.close_attempt(render.spec.index, attempt.n, outcome="cancelled")

    def _cancel(self, render: Render, attempt: Attempt, reason: str) -> RenderCancel:
        job, index = self.job, render.spec.index
        return RenderCancel(
            attempt_id=f"{job.job_id}/{index}/{attempt.n}",
            render_id=f"{job.job_id}/{index}",
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
            self.said.append(self._sheet(self.job.character_id))

    def fail(self, code: ErrorCode, message: str, **details: Any) -> None:
        """The job's other end; what still runs is cancelled."""
        self.cancel_open_attempts(message[:200])
        self._end("failed", JobError(code=code, message=message, **details))

    def _account_for_the_rest(self, error: JobError | None) -> None:
        """No image is left open at the end: each one that is not there says why."""
        why = error or JobError(code="deadline_exceeded", message="it was not ready by the deadline")
        for render in self.job.renders:
            if render.state not in ("done", "failed"):
                index = render.spec.index
                self.set_render(index, state="failed", error=why, retry_at=None, queue_position=None)
                self.set(failed=self.job.failed + 1)
                self.event("image_failed", image=image_event(self.job.renders[index]))

    def _end(self, status: EventKind, error: JobError | None) -> None:
        self._account_for_the_rest(error)
        elapsed = self._elapsed()
        self.set(
            status=status,
            phase=None,
            error=error,
            finished_at=self.now,
            wake_at=None,
            elapsed_seconds=elapsed,
            cost=self.policies.cost_of(self.job),
        )
        self.event(status, error=error, cost=self.job.cost)

    def _sheet(self, character_id: str) -> CharacterSheetCompleted:
        done = [render for render in self.job.renders if render.stored]
        return CharacterSheetCompleted(
            character_id=character_id,
            job_id=self.job.job_id,
            tenant=self.job.tenant,
            user_id=self.job.user_id,
            images=tuple(f"{self.job.job_id}/{render.spec.index}" for render in done),
            labels=tuple(render.spec.label for render in done),
            chain_id=self.job.chain_id,
            at=self.now,
        )

    def _elapsed(self) -> float:
        return round((self.now - self.job.requested_at).total_seconds(), 3)

    def _event(self, kind: EventKind, **facts: Any) -> JobEvent:
        job = self.job
        return JobEvent(
            event=kind,
            job_id=job.job_id,
            tenant=job.tenant,
            user_id=job.user_id,
            type=job.type,
            seq=job.seq,
            at=self.now,
            status=job.status,
            phase=job.phase,
            requested=job.requested,
            delivered=job.delivered,
            failed=job.failed,
            target_seconds=job.target_seconds,
            elapsed_seconds=self._elapsed(),
            webhook=job.notify.webhook_url is not None,
            chain_id=job.chain_id,
            character_id=job.character_id,
            **facts,
        )


def image_event(render: Render) -> ImageEvent:
    """What an event says of one image."""
    return ImageEvent(
        index=render.spec.index, label=render.spec.label, stored=render.stored, error=render.error
    )
