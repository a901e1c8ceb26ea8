"""The rules of a job's renders: progress, failures and retries, stored images, the deadline. Pure."""

import hashlib
from datetime import datetime, timedelta
from typing import get_args

from contracts.base import Provider
from contracts.ids import AttemptKey
from contracts.jobs import Attempt, ErrorCode, Job, JobError, Render, RenderState
from contracts.notices import Notice, joined
from contracts.renders import AttemptMessage, RenderFailed, RenderProgressed, ResultStored
from contracts.workflows import placeholders_of
from services.dispatcher.events import image_event
from services.dispatcher.transition import JobTransition


def progress(step: JobTransition, message: RenderProgressed) -> None:
    """Apply progress of an attempt."""
    found = _open_attempt(step.job, message)
    if found is None:
        return
    render, _ = found
    percent = message.percent if message.percent is not None else render.percent
    known = (render.state, render.percent, render.queue_position)
    if (message.state, percent, message.queue_position) == known or _is_older(render, message):
        return
    if message.state != "queued":
        step.start()
    step.set_render(
        render.spec.index,
        state=message.state,
        percent=percent,
        queue_position=message.queue_position,
    )
    if all(render.terminal or render.state == "storing" for render in step.job.renders):
        step.set(phase="storing")
    step.progressed()


def _is_older(render: Render, message: RenderProgressed) -> bool:
    """Return whether progress is older than the render shows: a late message must not set it back."""
    order = get_args(RenderState)
    return order.index(message.state) < order.index(render.state) or (
        message.state == render.state and (message.percent or 0) < (render.percent or 0)
    )


def attempt_failed(step: JobTransition, failure: RenderFailed) -> None:
    """Apply the failure of an attempt: retry after a pause, or fail the image."""
    found = _open_attempt(step.job, failure)
    if found is None:
        return
    render, attempt = found
    index = render.spec.index
    error = JobError(code=failure.code, message=failure.message)
    step.start()
    step.close_attempt(
        index,
        attempt.n,
        outcome="failed",
        error=error,
        retryable=failure.retryable,
        billed=failure.billed,
        cost_usd=failure.cost_usd,
    )
    retry_at = _retry_at(step, step.job.renders[index], failure.attempt_id)
    if retry_at and retry_at < step.job.deadline_at:
        step.set_render(index, state="waiting", percent=None, queue_position=None, retry_at=retry_at)
        step.set(phase="rendering")
        _schedule_wakeup(step)
        return
    step.set_render(index, state="failed", error=error)
    step.set(failed=step.job.failed + 1)
    step.event("image_failed", image=image_event(step.job.renders[index]))
    _end_if_settled(step)


def _route(step: JobTransition, render: Render) -> tuple[Provider, ...]:
    job = step.job
    return step.policies.route(
        job.type,
        render.spec,
        provider=job.provider,
        model=job.model,
        workflow=job.workflow is not None,
    )


def _no_route_reason(step: JobTransition, render: Render) -> str:
    job = step.job
    return step.policies.no_route_reason(
        render.spec, provider=job.provider, model=job.model, workflow=job.workflow is not None
    )


def _retry_at(step: JobTransition, render: Render, attempt_id: str) -> datetime | None:
    """Return the start of the next attempt of a render, or None if no other attempt would succeed."""
    retries = step.policies.retries
    workflow = step.job.workflow is not None
    route = _route(step, render)
    if retries.next_provider(route, render.attempts, step.down, workflow=workflow) is None:
        return None
    pause = retries.pauses_seconds[len(render.attempts) - 1] * _jitter(attempt_id)
    return step.now + timedelta(milliseconds=round(1000 * pause))


def _jitter(attempt_id: str) -> float:
    """Return a factor from 0.75 to 1.25 that depends on the attempt only: a redelivery computes the same."""
    return 0.75 + hashlib.sha256(attempt_id.encode()).digest()[0] / 510


def result_stored(step: JobTransition, result: ResultStored) -> None:
    """Apply a stored image or LoRA. The first one of its render counts."""
    index, n = _position(result)
    render = step.job.renders[index] if index < len(step.job.renders) else None
    if render is None or result.duplicate or render.state == "done":
        return
    step.start()
    step.close_attempt(index, n, outcome="succeeded", error=None, billed="yes", cost_usd=result.cost_usd)
    step.cancel_open_attempts("another attempt was first", only=index)
    failed_before = render.state == "failed"
    step.set_render(
        index,
        state="done",
        stored=result.image,
        lora=result.lora,
        error=None,
        percent=100,
        queue_position=None,
        retry_at=None,
    )
    step.set(delivered=step.job.delivered + 1, failed=step.job.failed - (1 if failed_before else 0))
    same_file = _same_file(step.job, index)
    notices = (*result.notices, *same_file)
    step.set(notices=joined(step.job.notices, notices))
    step.event("image_ready", image=image_event(step.job.renders[index]), notices=notices)
    _end_if_settled(step)


def _same_file(job: Job, index: int) -> tuple[Notice, ...]:
    """Return a notice if an image is the same file as others of its job."""
    stored = job.renders[index].stored
    if stored is None:
        return ()
    same = tuple(
        render.spec.index
        for render in job.renders
        if render.stored is not None and render.stored.sha256 == stored.sha256
    )
    if len(same) == 1:
        return ()
    message = f"Images {', '.join(map(str, same))} are the same file."
    if job.workflow is not None and "seed" not in placeholders_of(job.workflow):
        message += " The workflow has a fixed seed; write {{seed}} where it has its seed."
    return (Notice(code="same_file", message=message, images=same),)


def handle_timer(step: JobTransition) -> None:
    """Start due retries; after the deadline, end the job."""
    job = step.job
    if step.now < job.deadline_at:
        start_due_attempts(step)
        return
    step.cancel_open_attempts("the deadline has passed")
    if job.delivered >= _min_images(step):
        step.complete()
    else:
        step.fail(
            "deadline_exceeded",
            f"{job.delivered} of {job.requested} images were ready after "
            f"{(job.deadline_at - job.requested_at).total_seconds():g} s",
        )


def start_due_attempts(step: JobTransition) -> None:
    """Start the next attempt of every render that is due."""
    policies = step.policies
    policy = policies.types[step.job.type]
    step.set(minimum=_min_images(step))
    for render in step.job.renders:
        if render.state != "waiting" or (render.retry_at and render.retry_at > step.now):
            continue
        route = _route(step, render)
        provider = policies.retries.next_provider(
            route, render.attempts, step.down, workflow=step.job.workflow is not None
        )
        if provider is None:
            step.fail("no_provider", _no_route_reason(step, render))
            return
        step.start_attempt(render, provider, policy.priority, alternatives=len(route) > 1)
    _schedule_wakeup(step)


def _min_images(step: JobTransition) -> int:
    return step.policies.types[step.job.type].min_images(step.job.requested)


def _end_if_settled(step: JobTransition) -> None:
    job = step.job
    if not all(render.terminal for render in job.renders):
        _schedule_wakeup(step)
    elif job.delivered >= job.minimum:
        step.complete()
    elif job.delivered:
        step.fail(
            "too_few_images", f"{job.delivered} of {job.requested} images are ready, {job.minimum} needed"
        )
    else:
        errors = [render.error for render in job.renders if render.error]
        code: ErrorCode = "input_not_found" if errors[0].code == "input_not_found" else "provider_failed"
        step.fail(code, "; ".join(dict.fromkeys(error.message for error in errors))[:1000])


def _schedule_wakeup(step: JobTransition) -> None:
    """Set the job's next wake-up: the next retry or the deadline."""
    times = [render.retry_at for render in step.job.renders if render.retry_at]
    step.set(wake_at=min([*times, step.job.deadline_at]))


def _position(message: AttemptMessage) -> tuple[int, int]:
    key = AttemptKey.parse(message.attempt_id)
    return key.index, key.number


def _open_attempt(job: Job, message: AttemptMessage) -> tuple[Render, Attempt] | None:
    index, n = _position(message)
    if index >= len(job.renders) or job.renders[index].terminal:
        return None
    render = job.renders[index]
    matching = (attempt for attempt in render.attempts if attempt.n == n and attempt.outcome == "open")
    attempt = next(matching, None)
    return (render, attempt) if attempt else None
