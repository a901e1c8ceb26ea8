"""Events as they go over a connection: the text of Server-Sent Events, links freshly signed."""

import json
from datetime import timedelta

from contracts.http import JobSnapshot
from contracts.jobs import Job, JobEvent, RenderProgress
from services.notifier.ports import Links
from shared.clock import Clock

HEARTBEAT = b": still here\n\n"
RETRY = b"retry: 2000\n\n"


def frame(kind: str, data: str, event_id: str | None = None) -> bytes:
    """One event. `data` is JSON and so has no line break."""
    name = f"id: {event_id}\n" if event_id is not None else ""
    return f"{name}event: {kind}\ndata: {data}\n\n".encode()


def snapshot_of(job: Job) -> JobSnapshot:
    """Where a job stands."""
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


class Writer:
    """Turns events into frames."""

    def __init__(self, links: Links, now: Clock, link_seconds: int) -> None:
        self._links = links
        self._now = now
        self._link_seconds = link_seconds

    async def event(self, event: JobEvent, event_id: str | None) -> bytes:
        """An event; one with an image or a LoRA gets `links`, signed for this moment."""
        data = event.model_dump_json()
        if event.image and (result := event.image.stored or event.image.lora):
            url = await self._links.signed_url(result.key, self._link_seconds)
            ends = self._now() + timedelta(seconds=self._link_seconds)
            links = {"url": url, "expires_at": ends.isoformat().replace("+00:00", "Z")}
            data = f'{data[:-1]},"links":{json.dumps(links)}}}'
        return frame(event.event, data, event_id)
