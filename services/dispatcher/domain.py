"""The rules of a job: (document, message) → (document, outputs). Pure.

Plans and cancels are here, renders in `rendering.py`, waits in `character_waits.py` and `waiting.py`.

Messages may arrive twice, late or out of order. Each rule changes only what its message may still
change, and returns the same document if nothing changes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from contracts.base import Message, Provider
from contracts.generation import (
    GenerationCancel,
    GenerationConflicted,
    GenerationPlanned,
    GenerationRejected,
    GenerationWaiting,
    PlanRequest,
)
from contracts.jobs import JobDue, JobError, Render
from contracts.renders import RenderFailed, RenderProgressed, ResultStored
from services.dispatcher import character_waits
from services.dispatcher.character_waits import check_character, is_planned_by, is_waiting_for_character
from services.dispatcher.events import elapsed
from services.dispatcher.job_record import JobRecord, with_job
from services.dispatcher.lora_waits import CharacterStates, begin_wait, check_lora, is_waiting
from services.dispatcher.policies import Policies
from services.dispatcher.rendering import (
    attempt_failed,
    handle_timer,
    progress,
    result_stored,
    start_due_attempts,
)
from services.dispatcher.transition import JobTransition
from shared.errors import PermanentError

JobMessage = (
    GenerationPlanned
    | GenerationRejected
    | GenerationWaiting
    | GenerationCancel
    | RenderProgressed
    | RenderFailed
    | ResultStored
    | JobDue
)
StepResult = tuple[JobRecord | None, Sequence[Message]]
NO_CHARACTERS: CharacterStates = MappingProxyType({})


class JobIdConflict(PermanentError):
    """Another request already has this job id."""

    reason = "job_id_conflict"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} exists with another tenant, request or chain; use a new job_id")


def advance(
    job: JobRecord | None,
    message: JobMessage,
    *,
    policies: Policies,
    now: datetime,
    down: frozenset[Provider] = frozenset(),
    characters: CharacterStates = NO_CHARACTERS,
) -> StepResult:
    """Apply one message to a job.

    `down` are the providers with an open circuit, `characters` the states of the characters of due jobs.
    Both were read after the message arrived.

    Raises:
        JobIdConflict: when a plan or rejection comes for a job id that another request has, and no
            chain waits for the answer.
    """
    match message:
        case GenerationPlanned() | GenerationRejected() | GenerationWaiting():
            return _begin(job, message, policies, now, down)
        case GenerationCancel():
            return _cancel(job, message, policies, now)
    if job is None or job.terminal:
        return job, ()
    if isinstance(message, JobDue):
        now = max(now, message.due_at)  # the caller's clock may be ahead of ours
    step = JobTransition(job, now, policies, down)
    if is_waiting_for_character(job):
        if isinstance(message, JobDue):
            check_character(step, characters)
        return step.job, step.outputs
    if is_waiting(job):
        if isinstance(message, JobDue):
            check_lora(step, characters)
        return step.job, step.outputs
    match message:
        case RenderProgressed():
            progress(step, message)
        case RenderFailed():
            attempt_failed(step, message)
        case ResultStored():
            result_stored(step, message)
        case JobDue():
            handle_timer(step)
    return step.job, step.outputs


def _begin(
    job: JobRecord | None,
    plan: GenerationPlanned | GenerationRejected | GenerationWaiting,
    policies: Policies,
    now: datetime,
    down: frozenset[Provider],
) -> StepResult:
    waited = job is not None and is_planned_by(job, plan)
    if job is not None and not job.placeholder and not waited:
        return job, _repeated(job, plan, now)
    if job is not None and waited and isinstance(plan, GenerationWaiting):
        step = JobTransition(job, now, policies)
        character_waits.continue_wait(step)
        return step.job, step.outputs
    begun = _new_job(plan, policies, now)
    step = JobTransition(_after_wait(begun, job, policies) if job and waited else begun, now, policies, down)
    reason = _early_cancel(job, plan.tenant)
    if isinstance(plan, GenerationRejected):
        step.reject(plan.reasons)
        return step.job, step.outputs
    if isinstance(plan, GenerationWaiting):
        if reason is not None:
            step.fail("cancelled", reason)
        else:
            character_waits.begin_wait(step, plan)
        return step.job, step.outputs
    _take_plan(step, plan)
    if reason is not None:
        step.fail("cancelled", reason)
    elif now >= step.job.deadline_at:
        step.fail("deadline_exceeded", "the request was older than its deadline when it was planned")
    elif not plan.waits_for_lora:
        start_due_attempts(step)
    return step.job, step.outputs


def _after_wait(begun: JobRecord, waited: JobRecord, policies: Policies) -> JobRecord:
    """Return the job after a wait. Its events continue; the deadline of its type counts from now."""
    deadline = timedelta(seconds=policies.types[begun.type].deadline_seconds)
    return with_job(
        begun,
        accepted_at=waited.accepted_at,
        handled=waited.handled,
        trace=waited.trace,
        deadline_at=begun.updated_at + deadline,
        waited_seconds=elapsed(begun, begun.updated_at),
        requested=waited.requested,
        events=waited.events,
        seq=waited.seq,
    )


def _repeated(job: JobRecord, plan: PlanRequest, now: datetime) -> Sequence[Message]:
    """Return the outputs of a repeated plan: none, or the conflict that a chain waits for."""
    conflict = JobIdConflict(plan.job_id)
    if plan.chain_id is not None and plan.chain_id != job.chain_id:
        conflicted = GenerationConflicted(
            job_id=plan.job_id, tenant=plan.tenant, chain_id=plan.chain_id, reason=str(conflict), at=now
        )
        return (conflicted,)
    if (job.tenant, job.request_hash) != (plan.tenant, plan.request_hash):
        raise conflict
    return ()


def _new_job(plan: PlanRequest, policies: Policies, now: datetime) -> JobRecord:
    policy = policies.types[plan.type]
    return JobRecord(
        **{field: getattr(plan, field) for field in PlanRequest.model_fields},
        accepted_at=now,
        updated_at=now,
        deadline_at=plan.requested_at + timedelta(seconds=policy.deadline_seconds),
        target_seconds=policy.target_seconds,
        requested=0,
    )


def _take_plan(step: JobTransition, plan: GenerationPlanned) -> None:
    step.set(
        requested=len(plan.renders),
        renders=tuple(Render(spec=spec) for spec in plan.renders),
        provider=plan.provider,
        model=plan.model,
        workflow=plan.workflow,
        partial=plan.partial,
        notices=plan.notices,
    )
    if plan.waits_for_lora:
        begin_wait(step)
    step.event("accepted", notices=plan.notices)


def _cancel(job: JobRecord | None, cancel: GenerationCancel, policies: Policies, now: datetime) -> StepResult:
    if job is None:
        return _cancelled_before_plan(cancel, now), ()
    if job.placeholder and _early_cancel(job, cancel.tenant) is None:
        return with_job(job, early_cancels=(*job.early_cancels, cancel)), ()
    if job.terminal or job.tenant != cancel.tenant:
        return job, ()
    step = JobTransition(job, now, policies)
    step.fail("cancelled", cancel.reason)
    return step.job, step.outputs


def _cancelled_before_plan(cancel: GenerationCancel, now: datetime) -> JobRecord:
    """Return a placeholder that its plan cannot revive; its events are published when the plan arrives."""
    return JobRecord(
        job_id=cancel.job_id,
        tenant=cancel.tenant,
        user_id="unknown",
        type="studio",
        request_hash="",
        requested_at=now,
        accepted_at=now,
        updated_at=now,
        finished_at=now,
        deadline_at=now,
        target_seconds=0,
        requested=0,
        status="failed",
        phase=None,
        error=JobError(code="cancelled", message=cancel.reason),
        placeholder=True,
    )


def _early_cancel(job: JobRecord | None, tenant: str) -> str | None:
    """Return the reason of the tenant's cancel from before the plan, or None."""
    if job is None:
        return None
    if job.tenant == tenant and job.error:
        return job.error.message
    return next((cancel.reason for cancel in job.early_cancels if cancel.tenant == tenant), None)
