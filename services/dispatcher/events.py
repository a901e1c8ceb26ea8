"""Events and announcements of a job, made from its document. Pure."""

from datetime import datetime
from typing import TypedDict, Unpack

from contracts.ids import RenderKey
from contracts.jobs import (
    CharacterSheetCompleted,
    Cost,
    EventKind,
    ImageEvent,
    Job,
    JobError,
    JobEvent,
    Render,
    RenderProgress,
)
from contracts.notices import Notice


class EventFacts(TypedDict, total=False):
    """Fields of an event that its job's document does not determine."""

    image: ImageEvent | None
    progress: tuple[RenderProgress, ...]
    error: JobError | None
    notices: tuple[Notice, ...]
    cost: Cost | None


def job_event(job: Job, kind: EventKind, at: datetime, **facts: Unpack[EventFacts]) -> JobEvent:
    """Return an event of a job in its present state."""
    return JobEvent(
        event=kind,
        job_id=job.job_id,
        tenant=job.tenant,
        user_id=job.user_id,
        type=job.type,
        seq=job.seq,
        at=at,
        status=job.status,
        phase=job.phase,
        requested=job.requested,
        delivered=job.delivered,
        failed=job.failed,
        target_seconds=job.target_seconds,
        elapsed_seconds=elapsed(job, at),
        waited_seconds=job.waited_seconds,
        webhook=job.notify.webhook_url is not None,
        chain_id=job.chain_id,
        character_id=job.character_id,
        **facts,
    )


def elapsed(job: Job, at: datetime) -> float:
    """Return the seconds since the request, waits included."""
    return round((at - job.requested_at).total_seconds(), 3)


def image_event(render: Render) -> ImageEvent:
    """Return the part of an event that describes one image."""
    return ImageEvent(
        index=render.spec.index,
        label=render.spec.label,
        caption=render.spec.caption,
        stored=render.stored,
        lora=render.lora,
        error=render.error,
    )


def progress_of(job: Job) -> tuple[RenderProgress, ...]:
    """Return the progress of each image."""
    return tuple(
        RenderProgress(
            index=render.spec.index,
            state=render.state,
            percent=render.percent,
            queue_position=render.queue_position,
        )
        for render in job.renders
    )


def sheet_completed(job: Job, character_id: str, at: datetime) -> CharacterSheetCompleted:
    """Return the announcement of a sheet's images, for training."""
    done = [render for render in job.renders if render.stored]
    return CharacterSheetCompleted(
        character_id=character_id,
        job_id=job.job_id,
        tenant=job.tenant,
        user_id=job.user_id,
        images=tuple(str(RenderKey(job.job_id, render.spec.index)) for render in done),
        labels=tuple(render.spec.label for render in done),
        captions=tuple(render.spec.caption for render in done),
        chain_id=job.chain_id,
        partial=job.partial,
        at=at,
    )
