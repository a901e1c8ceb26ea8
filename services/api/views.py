"""Views of jobs and results for their owner. Pure."""

from collections.abc import Iterable
from datetime import datetime

from contracts.http import JobImage, JobView, ResultImage, ResultLora, Results
from contracts.jobs import Job, Render
from contracts.renders import StoredImage, StoredLora
from services.api.domain import Accepted
from services.api.ports import Preview


def job_view(job: Job, now: datetime, submission: Accepted | None = None) -> JobView:
    """Return the view of a job; fields that a placeholder lacks come from its submission."""
    source = submission if submission and job.placeholder else None
    created = source.requested_at if source else job.requested_at
    end = job.finished_at or now
    return JobView(
        id=job.job_id,
        type=(source and source.type) or job.type,
        user_id=source.user_id if source else job.user_id,
        status=job.status,
        phase=job.phase,
        requested=source.requested if source else job.requested,
        delivered=job.delivered,
        failed=job.failed,
        target_seconds=None if job.placeholder else job.target_seconds,
        elapsed_seconds=job.elapsed_seconds if job.terminal and job.elapsed_seconds else _since(created, end),
        waited_seconds=job.waited_seconds,
        deadline_at=None if job.placeholder else job.deadline_at,
        created=created,
        finished_at=job.finished_at,
        chain_id=source.chain_id if source else job.chain_id,
        error=job.error,
        notices=job.notices,
        images=tuple(_image(render) for render in job.renders),
        attempts=sum(len(render.attempts) for render in job.renders),
        cost_usd=job.cost.usd,
        cost_estimated=job.cost.estimated,
    )


def pending_view(accepted: Accepted, now: datetime) -> JobView:
    """Return the view of a job that is accepted and not planned yet."""
    assert accepted.type is not None, "only jobs have a view"
    return JobView(
        id=accepted.job_id,
        type=accepted.type,
        user_id=accepted.user_id,
        status="pending",
        phase="queued",
        requested=accepted.requested,
        delivered=0,
        failed=0,
        elapsed_seconds=_since(accepted.requested_at, now),
        created=accepted.requested_at,
        chain_id=accepted.chain_id,
    )


def result_image(
    render: Render, stored: StoredImage, preview: Preview | None, urls: tuple[str, str | None], ends: datetime
) -> ResultImage:
    """Return a stored image with fresh links to it and to its preview."""
    return ResultImage(
        index=render.spec.index,
        label=render.spec.label,
        url=urls[0],
        preview_url=urls[1],
        placeholder=preview.placeholder if preview else None,
        expires_at=ends,
        **stored.model_dump(exclude={"key", "attempt"}),
    )


def result_lora(render: Render, stored: StoredLora, urls: tuple[str, str], ends: datetime) -> ResultLora:
    """Return a training's result with fresh links to its weights and its manifest."""
    return ResultLora(
        index=render.spec.index,
        label=render.spec.label,
        url=urls[0],
        manifest_url=urls[1],
        expires_at=ends,
        **stored.model_dump(exclude={"manifest_key", "attempt"}),
    )


def results_view(job: Job, images: Iterable[ResultImage], loras: Iterable[ResultLora]) -> Results:
    """Return the results of a job that are ready."""
    return Results(
        job_id=job.job_id,
        status=job.status,
        requested=job.requested,
        delivered=job.delivered,
        images=tuple(images),
        loras=tuple(loras),
    )


def _image(render: Render) -> JobImage:
    return JobImage(
        index=render.spec.index,
        label=render.spec.label,
        state=render.state,
        percent=render.percent,
        queue_position=render.queue_position,
        error=render.error,
    )


def _since(start: datetime, end: datetime) -> float:
    return max(0.0, round((end - start).total_seconds(), 3))
