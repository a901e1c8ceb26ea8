"""Fail a job whose document MongoDB refuses, with a document that it can store. Pure."""

from datetime import datetime
from typing import Final

from contracts.generation import GenerationRejected, PlanRequest, Reason, RenderSpec
from services.dispatcher.changes import with_render, with_spec
from services.dispatcher.domain import JobMessage, StepResult, advance
from services.dispatcher.job_record import JobRecord, with_job
from services.dispatcher.policies import Policies
from services.dispatcher.transition import JobTransition

_CUT: Final = 300


def fail_unstorable(
    job: JobRecord | None, message: JobMessage, why: str, *, policies: Policies, now: datetime
) -> StepResult:
    """Fail the job of a message, without the parts that may have been too large for the store.

    A message of an unknown or ended job changes nothing.
    """
    if isinstance(message, PlanRequest) and (job is None or job.placeholder):
        return advance(job, _rejection(message, why), policies=policies, now=now)
    if job is None or job.terminal:
        return job, ()
    step = JobTransition(_without_its_contents(job), now, policies)
    step.fail("not_storable", _message(why))
    return step.job, step.outputs


def _rejection(plan: PlanRequest, why: str) -> GenerationRejected:
    return GenerationRejected(
        job_id=plan.job_id,
        tenant=plan.tenant,
        user_id=plan.user_id,
        type=plan.type,
        request_hash=plan.request_hash,
        requested_at=plan.requested_at,
        notify=plan.notify,
        chain_id=plan.chain_id,
        character_id=plan.character_id,
        reasons=(Reason(field="request", message=_message(why)),),
    )


def _message(why: str) -> str:
    return f"its document cannot be stored: {why[:_CUT]}; send a smaller request"


def _without_its_contents(job: JobRecord) -> JobRecord:
    """Return the job without its free-form parts. The size of the rest is bounded."""
    renders = (with_render(render, spec=_without_texts(render.spec), error=None) for render in job.renders)
    return with_job(
        job,
        workflow=None,
        character=None,
        renders=tuple(renders),
        handled=(),
        early_cancels=(),
        wait=None,
    )


def _without_texts(spec: RenderSpec) -> RenderSpec:
    return with_spec(
        spec, prompt="", tag_prompt="", negative_prompt="", caption="", training_images=(), captions=()
    )
