"""State of a job that is being followed, updated from its events or from the API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from clients.cli.wording import WAITING_PHASES
from contracts.base import GenerationType
from contracts.http import JobImage, JobView
from contracts.jobs import ENDED, ImageEvent, JobEvent, Phase, RenderProgress, RenderState, Status
from imagegen_client import Client, ServerUnavailable

POLL_SECONDS = 1.0


@dataclass
class ImageProgress:
    """Progress of one image."""

    label: str = ""
    state: RenderState = "waiting"
    percent: int | None = None
    queue_position: int | None = None
    error: str | None = None
    event: ImageEvent | None = None

    @property
    def share(self) -> float:
        """Finished part of the image, 0 to 1."""
        ended = self.state in ("done", "failed", "storing")
        return 1.0 if ended else (self.percent or 0) / 100


@dataclass
class JobProgress:
    """Progress of a job."""

    job_id: str
    type: GenerationType
    status: Status = "pending"
    phase: Phase | None = "queued"
    requested: int = 0
    delivered: int = 0
    failed: int = 0
    target_seconds: float | None = None
    elapsed_seconds: float = 0.0
    waited_seconds: float = 0.0
    error: str | None = None
    images: dict[int, ImageProgress] = field(default_factory=dict)
    updated_at: float = field(default_factory=monotonic)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def seconds(self) -> float:
        """Time from the request until now, or until the end of the job."""
        return self.elapsed_seconds + (0.0 if self.ended else monotonic() - self.updated_at)

    @property
    def counted_seconds(self) -> float:
        """Time that counts towards the target: without the wait for a character or LoRA."""
        return 0.0 if self.phase in WAITING_PHASES else max(0.0, self.seconds - self.waited_seconds)

    @property
    def share(self) -> float:
        """Finished part of the job, 0 to 1."""
        shares = [image.share for image in self.images.values()]
        return 1.0 if self.ended else sum(shares) / max(1, self.requested, len(shares))

    def apply_event(self, event: JobEvent) -> None:
        """Update from an event of the job."""
        self._update(event)
        for progress in event.progress:
            self._update_progress(progress)
        if event.image:
            self._update_image(event.image)

    def apply_view(self, view: JobView) -> None:
        """Update from an answer of the API."""
        self._update(view)
        for image in view.images:
            self._update_progress(image)
            known = self._image(image.index)
            known.label = image.label
            known.error = image.error.message if image.error else None

    def _update(self, source: JobEvent | JobView) -> None:
        self.status, self.phase = source.status, source.phase
        self.requested, self.delivered, self.failed = source.requested, source.delivered, source.failed
        self.target_seconds, self.elapsed_seconds = source.target_seconds, source.elapsed_seconds
        self.waited_seconds = source.waited_seconds
        self.error = f"{source.error.code}: {source.error.message}" if source.error else None
        self.updated_at = monotonic()

    def _update_progress(self, progress: RenderProgress | JobImage) -> None:
        image = self._image(progress.index)
        image.state, image.percent = progress.state, progress.percent
        image.queue_position = progress.queue_position

    def _update_image(self, event: ImageEvent) -> None:
        image = self._image(event.index)
        image.label, image.event = event.label or image.label, event
        image.state = "done" if event.stored or event.lora else "failed"
        image.error = event.error.message if event.error else None

    def _image(self, index: int) -> ImageProgress:
        return self.images.setdefault(index, ImageProgress())


async def follow(client: Client, job: JobProgress) -> AsyncIterator[JobProgress]:
    """Yield the job after each change until it ends; poll the API when the notifier is unavailable."""
    try:
        async with aclosing(client.job_events(job.job_id).read()) as events:
            async for event in events:
                job.apply_event(event)
                if event.event == "accepted":  # only the API has the labels of the images
                    job.apply_view(await client.job(job.job_id))
                yield job
                if job.ended:
                    break
    except ServerUnavailable:
        pass
    while not job.ended:
        job.apply_view(await client.job(job.job_id))
        yield job
        await asyncio.sleep(POLL_SECONDS)
