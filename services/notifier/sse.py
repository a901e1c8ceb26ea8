"""Server-Sent Events: the text of events, snapshots and heartbeats."""

from contracts.http import JobSnapshot
from contracts.jobs import Job, JobEvent, RenderProgress
from services.notifier.links import LinkedEvents

HEARTBEAT = b": still here\n\n"
RETRY = b"retry: 2000\n\n"


def frame(kind: str, data: str, event_id: str | None = None) -> bytes:
    """Return the text of one event. `data` is JSON and has no line break."""
    name = f"id: {event_id}\n" if event_id is not None else ""
    return f"{name}event: {kind}\ndata: {data}\n\n".encode()


def snapshot_of(job: Job) -> JobSnapshot:
    """Return the state of a job; it opens a user's stream."""
    return JobSnapshot(
        job_id=job.job_id,
        type=job.type,
        seq=job.seq,
        at=job.updated_at,
        status=job.status,
        phase=job.phase,
        requested=job.requested,
        delivered=job.delivered,
        failed=job.failed,
        target_seconds=job.target_seconds,
        progress=tuple(
            RenderProgress(
                index=render.spec.index,
                state=render.state,
                percent=render.percent,
                queue_position=render.queue_position,
            )
            for render in job.renders
        ),
    )


class SseEncoder:
    """Encodes events as frames, with links."""

    def __init__(self, events: LinkedEvents) -> None:
        self._events = events

    async def event(self, event: JobEvent, event_id: str | None) -> bytes:
        """Return the frame of an event, with its links."""
        return frame(event.event, await self._events.json(event), event_id)
