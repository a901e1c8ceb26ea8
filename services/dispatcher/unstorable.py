"""The end of a job whose document MongoDB refuses: it fails with a document that can be stored."""

from datetime import datetime
from typing import Final

from contracts.generation import GenerationRejected, PlanRequest, Reason, RenderSpec
from services.dispatcher.domain import JobMessage, StepResult, advance
from services.dispatcher.policies import Policies
from services.dispatcher.transition import JobRecord, JobTransition

_CUT: Final = 300
_TEXTS: Final = ("prompt", "tag_prompt", "negative_prompt", "caption")


def fail_unstorable(
    job: JobRecord | None, message: JobMessage, why: str, *, policies: Policies, now: datetime
) -> StepResult:
    """Fail the job that a message is about, without what may have been too much for the store.

    A message about no job changes nothing, as does one about a job that has ended.
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
    """The job without its free-form parts: what is left is bounded."""
    renders = tuple(
        render.model_copy(update={"spec": _without_texts(render.spec), "error": None})
        for render in job.renders
    )
    return job.model_copy(
        update={
            "workflow": None,
            "character": None,
            "renders": renders,
            "handled": (),
            "early_cancels": (),
            "wait": None,
        }
    )


def _without_texts(spec: RenderSpec) -> RenderSpec:
    nothing = dict.fromkeys(_TEXTS, "") | {"training_images": (), "captions": ()}
    return spec.model_copy(update=nothing)
