"""The rules of a job's life: (document, message) → (document, what to say). No clock, no client.

Messages may come twice, late or in another order than they were caused; each rule changes only
what its message still may change, and returns the same document when it changes nothing.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.base import Message
from contracts.generation import GenerationCancel, GenerationPlanned, GenerationRejected, PlanRequest
from contracts.jobs import Attempt, JobDue, JobError, Render
from contracts.renders import AttemptMessage, RenderFailed, RenderProgressed, ResultStored
from services.dispatcher.policies import Policies
from services.dispatcher.story import JobRecord, Story, image_event
from shared.errors import PermanentError

JobMessage = (
    GenerationPlanned
    | GenerationRejected
    | GenerationCancel
    | RenderProgressed
    | RenderFailed
    | ResultStored
    | JobDue
)
Step = tuple[JobRecord | None, Sequence[Message]]


class JobIdConflict(PermanentError):
    """Another request already has this job id."""

    reason = "job_id_conflict"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} exists with another tenant or another request; use a new job_id")


def advance(job: JobRecord | None, message: JobMessage, *, policies: Policies, now: datetime) -> Step:
    """Apply one message to a job.

    Raises:
        JobIdConflict: when a plan or rejection comes for a job id that another request has.
    """
    match message:
        case GenerationPlanned() | GenerationRejected():
            return _begin(job, message, policies, now)
        case GenerationCancel():
            return _cancel(job, message, policies, now)
    if job is None or job.terminal:
        return job, ()
    if isinstance(message, JobDue):
        now = max(now, message.due_at)  # the caller's clock may be ahead of ours
    story = Story(job, now)
    match message:
        case RenderProgressed():
            _progress(story, message)
        case RenderFailed():
            _attempt_failed(story, message, policies)
        case ResultStored():
            _result_stored(story, message)
        case JobDue():
            _look_again(story, policies)
    return story.job, story.said


def _begin(
    job: JobRecord | None, plan: GenerationPlanned | GenerationRejected, policies: Policies, now: datetime
) -> Step:
    cancelled = job is not None and not job.request_hash
    if job is not None and not cancelled:
        if (job.tenant, job.request_hash) != (plan.tenant, plan.request_hash):
            raise JobIdConflict(plan.job_id)
        return job, ()
    story = Story(_new_job(plan, policies, now), now)
    if isinstance(plan, GenerationRejected):
        summary = "; ".join(f"{reason.field}: {reason.message}" for reason in plan.reasons)
        story.fail("rejected", summary[:1000], reasons=plan.reasons)
        return story.job, story.said
    _take_plan(story, plan)
    if job is not None and job.tenant == plan.tenant and job.error:
        story.fail("cancelled", job.error.message)
    elif now >= story.job.deadline_at:
        story.fail("deadline_exceeded", "the request was older than its deadline when it was planned")
    else:
        _start_waiting(story, policies)
    return story.job, story.said


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


def _take_plan(story: Story, plan: GenerationPlanned) -> None:
    story.set(
        requested=len(plan.renders),
        renders=tuple(Render(spec=spec) for spec in plan.renders),
        provider=plan.provider,
        model=plan.model,
        workflow=plan.workflow,
    )
    story.event("accepted")


def _cancel(job: JobRecord | None, cancel: GenerationCancel, policies: Policies, now: datetime) -> Step:
    if job is None:
        return _cancelled_before_plan(cancel, now), ()
    if job.terminal or job.tenant != cancel.tenant:
        return job, ()
    story = Story(job, now)
    story.fail("cancelled", cancel.reason)
    return story.job, story.said


def _cancelled_before_plan(cancel: GenerationCancel, now: datetime) -> JobRecord:
    """A placeholder that its plan cannot revive; its events are said when the plan comes."""
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
    )


def _progress(story: Story, news: RenderProgressed) -> None:
    found = _open_attempt(story.job, news)
    if found is None:
        return
    render, _ = found
    percent = news.percent if news.percent is not None else render.percent
    known = (render.state, render.percent, render.queue_position)
    if (news.state, percent, news.queue_position) == known or _is_older(render, news):
        return
    if news.state != "queued":
        story.start()
    story.set_render(
        render.spec.index,
        state=news.state,
        percent=percent,
        queue_position=news.queue_position,
    )
    if all(render.state in ("storing", "done", "failed") for render in story.job.renders):
        story.set(phase="storing")
    story.progressed()


def _is_older(render: Render, news: RenderProgressed) -> bool:
    """Progress only rises: a late message does not set an image back."""
    order = ("waiting", "queued", "running", "storing", "done", "failed")
    return order.index(news.state) < order.index(render.state) or (
        news.state == render.state and (news.percent or 0) < (render.percent or 0)
    )


def _attempt_failed(story: Story, failure: RenderFailed, policies: Policies) -> None:
    found = _open_attempt(story.job, failure)
    if found is None:
        return
    render, attempt = found
    index = render.spec.index
    error = JobError(code=failure.code, message=failure.message)
    story.start()
    story.close_attempt(index, attempt.n, outcome="failed", error=error, billed=failure.billed)
    retry_at = _retry_at(failure, attempt, policies, story.now)
    if retry_at and retry_at < story.job.deadline_at:
        story.set_render(index, state="waiting", percent=None, queue_position=None, retry_at=retry_at)
        story.set(phase="rendering")
        _set_alarm(story)
        return
    story.set_render(index, state="failed", error=error)
    story.set(failed=story.job.failed + 1)
    story.event("image_failed", image=image_event(story.job.renders[index]))
    _end_if_settled(story)


def _retry_at(failure: RenderFailed, attempt: Attempt, policies: Policies, now: datetime) -> datetime | None:
    pauses = policies.retries.pauses_seconds
    if not failure.retryable or attempt.n > len(pauses):
        return None
    pause = pauses[attempt.n - 1] * _jitter(failure.attempt_id)
    return now + timedelta(milliseconds=round(1000 * pause))


def _jitter(attempt_id: str) -> float:
    """0.75 to 1.25, the same for the same attempt, so that a redelivery computes the same time."""
    return 0.75 + hashlib.sha256(attempt_id.encode()).digest()[0] / 510


def _result_stored(story: Story, result: ResultStored) -> None:
    index, n = _position(result)
    render = story.job.renders[index] if index < len(story.job.renders) else None
    if render is None or result.duplicate or render.state == "done":
        return
    story.start()
    story.close_attempt(index, n, outcome="succeeded", error=None, billed="yes", cost_usd=result.cost_usd)
    story.cancel_open_attempts("another attempt was first", only=index)
    failed_before = render.state == "failed"
    story.set_render(
        index, state="done", stored=result.image, error=None, percent=100, queue_position=None, retry_at=None
    )
    story.set(delivered=story.job.delivered + 1, failed=story.job.failed - (1 if failed_before else 0))
    story.event("image_ready", image=image_event(story.job.renders[index]))
    _end_if_settled(story)


def _look_again(story: Story, policies: Policies) -> None:
    job = story.job
    if story.now < job.deadline_at:
        _start_waiting(story, policies)
        return
    story.cancel_open_attempts("the deadline has passed")
    if job.delivered >= _minimum(job, policies):
        story.complete()
    else:
        story.fail(
            "deadline_exceeded",
            f"{job.delivered} of {job.requested} images were ready after "
            f"{(job.deadline_at - job.requested_at).total_seconds():g} s",
        )


def _start_waiting(story: Story, policies: Policies) -> None:
    """Start the next attempt of every render whose time has come."""
    policy = policies.types[story.job.type]
    story.set(minimum=_minimum(story.job, policies))
    for render in story.job.renders:
        if render.state != "waiting" or (render.retry_at and render.retry_at > story.now):
            continue
        route = policies.route(
            story.job.type,
            render.spec,
            provider=story.job.provider,
            model=story.job.model,
            workflow=story.job.workflow is not None,
        )
        if not route:
            asked = f" at {story.job.provider}" if story.job.provider else ""
            story.fail("no_provider", f"no provider{asked} can do '{render.spec.label}' of this job")
            return
        story.start_attempt(render, route[0], policy.priority)
    _set_alarm(story)


def _minimum(job: JobRecord, policies: Policies) -> int:
    return policies.types[job.type].minimum(job.requested)


def _end_if_settled(story: Story) -> None:
    job = story.job
    if any(render.state not in ("done", "failed") for render in job.renders):
        _set_alarm(story)
    elif job.delivered >= job.minimum:
        story.complete()
    elif job.delivered:
        story.fail(
            "too_few_images", f"{job.delivered} of {job.requested} images are ready, {job.minimum} needed"
        )
    else:
        causes = {render.error.message: None for render in job.renders if render.error}
        story.fail("provider_failed", "; ".join(causes)[:1000])


def _set_alarm(story: Story) -> None:
    """Wake for the next retry, and for the deadline in any case."""
    times = [render.retry_at for render in story.job.renders if render.retry_at]
    story.set(wake_at=min([*times, story.job.deadline_at]))


def _position(news: AttemptMessage) -> tuple[int, int]:
    _, index, n = news.attempt_id.split("/")
    return int(index), int(n)


def _open_attempt(job: JobRecord, news: AttemptMessage) -> tuple[Render, Attempt] | None:
    index, n = _position(news)
    if index >= len(job.renders) or job.renders[index].state in ("done", "failed"):
        return None
    render = job.renders[index]
    matching = (attempt for attempt in render.attempts if attempt.n == n and attempt.outcome == "open")
    attempt = next(matching, None)
    return (render, attempt) if attempt else None
