"""One job as it is followed: what its events, or its view, say of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from clients.cli.client import Client
from clients.cli.errors import Unreachable
from clients.cli.outcome import WAITS
from contracts.base import GenerationType
from contracts.http import JobImage, JobView
from contracts.jobs import ENDED, ImageEvent, JobEvent, Phase, RenderProgress, RenderState, Status

EVENTS = ("accepted", "started", "image_ready", "image_failed", "progressed", "completed", "failed")
POLL_SECONDS = 1.0


@dataclass
class Picture:
    """Progress of one image."""

    label: str = ""
    state: RenderState = "waiting"
    percent: int | None = None
    queue_position: int | None = None
    error: str | None = None
    event: ImageEvent | None = None

    @property
    def share(self) -> float:
        """The part that is done, for a bar."""
        ended = self.state in ("done", "failed", "storing")
        return 1.0 if ended else (self.percent or 0) / 100


@dataclass
class Followed:
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
    pictures: dict[int, Picture] = field(default_factory=dict)
    told_at: float = field(default_factory=monotonic)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def seconds(self) -> float:
        """Since the request; goes on by itself until the job ends."""
        return self.elapsed_seconds + (0.0 if self.ended else monotonic() - self.told_at)

    @property
    def own_seconds(self) -> float:
        """Seconds that count towards the target: without the wait for a character or LoRA."""
        return 0.0 if self.phase in WAITS else max(0.0, self.seconds - self.waited_seconds)

    @property
    def share(self) -> float:
        """The part of the job that is done, for a bar."""
        shares = [picture.share for picture in self.pictures.values()]
        return 1.0 if self.ended else sum(shares) / max(1, self.requested, len(shares))

    def apply(self, event: JobEvent) -> None:
        """Take in an event."""
        self._take(event)
        for known in event.progress:
            self._progress(known)
        if event.image:
            self._image(event.image)

    def see(self, view: JobView) -> None:
        """Take in what the api says."""
        self._take(view)
        for image in view.images:
            self._progress(image)
            picture = self._picture(image.index)
            picture.label = image.label
            picture.error = image.error.message if image.error else None

    def _take(self, told: JobEvent | JobView) -> None:
        self.status, self.phase = told.status, told.phase
        self.requested, self.delivered, self.failed = told.requested, told.delivered, told.failed
        self.target_seconds, self.elapsed_seconds = told.target_seconds, told.elapsed_seconds
        self.waited_seconds = told.waited_seconds
        self.error = f"{told.error.code}: {told.error.message}" if told.error else None
        self.told_at = monotonic()

    def _progress(self, known: RenderProgress | JobImage) -> None:
        picture = self._picture(known.index)
        picture.state, picture.percent = known.state, known.percent
        picture.queue_position = known.queue_position

    def _image(self, image: ImageEvent) -> None:
        picture = self._picture(image.index)
        picture.label, picture.event = image.label or picture.label, image
        picture.state = "done" if image.stored or image.lora else "failed"
        picture.error = image.error.message if image.error else None

    def _picture(self, index: int) -> Picture:
        return self.pictures.setdefault(index, Picture())


async def follow(client: Client, job: Followed) -> AsyncIterator[Followed]:
    """The job after each change, until it ends: by its events, else by asking the api."""
    try:
        async with aclosing(client.job_events(job.job_id).read()) as events:
            async for event in events:
                if event.kind in EVENTS:
                    job.apply(JobEvent.model_validate_json(event.data))
                if event.kind == "accepted":  # only the view knows what the images are called
                    job.see(await client.job(job.job_id))
                yield job
                if job.ended:
                    break
    except Unreachable:
        pass
    while not job.ended:
        job.see(await client.job(job.job_id))
        yield job
        await asyncio.sleep(POLL_SECONDS)
