"""The numbered events of one job, in order, each once; missing ones are read from its document."""

from contracts.jobs import Job, JobEvent
from services.notifier.ports import Jobs
from services.notifier.sse import SseEncoder
from shared.http.problems import Refusal


class JobStream:
    """State of a stream that follows one job. `ended`: every event was sent."""

    def __init__(self, jobs: Jobs, encoder: SseEncoder, job_id: str, tenant: str, *, after: int) -> None:
        self._jobs = jobs
        self._encoder = encoder
        self._job_id = job_id
        self._tenant = tenant
        self._seq = after
        self._seen = 0
        self.known = False
        """The job exists."""
        self.ended = False

    @property
    def behind(self) -> bool:
        """True when an event arrived before the document had it."""
        return self._seen > self._seq

    async def catch_up(self) -> list[bytes]:
        """Return the frames of events in the document that were not sent yet.

        Raises:
            Refusal: 404 for another tenant's job. A job that does not exist yet has no frames.
        """
        job = await self._jobs.get(self._job_id)
        if job is None:
            return []
        if job.tenant != self._tenant:
            raise no_job(self._job_id)
        self.known = True
        if self._seq > job.seq:
            self._seq = 0
        frames = [await self._send(event) for event in job.events if event.seq > self._seq]
        self.ended = self.ended or _is_over(job)
        return frames

    async def live(self, event: JobEvent) -> list[bytes]:
        """Return the frames of a new event, after those of missing events."""
        if event.tenant != self._tenant:
            self.ended = True
            return []
        self.known = True
        snapshot = event.event == "progressed"
        frames = []
        if event.seq > self._seq + (0 if snapshot else 1):
            self._seen = max(self._seen, event.seq)
            frames = await self.catch_up()
        if snapshot and event.seq == self._seq and not self.ended:
            return [*frames, await self._encoder.event(event, None)]
        if not snapshot and event.seq == self._seq + 1:
            return [*frames, await self._send(event)]
        return frames

    async def _send(self, event: JobEvent) -> bytes:
        self._seq = event.seq
        self.ended = event.terminal
        return await self._encoder.event(event, str(event.seq))


def no_job(job_id: str) -> Refusal:
    """Return the 404 for a job that does not exist or belongs to another tenant."""
    return Refusal(404, f"job {job_id} does not exist")


def _is_over(job: Job) -> bool:
    """Return whether a job has ended; the placeholder of an early cancel has not."""
    return job.terminal and not job.placeholder
