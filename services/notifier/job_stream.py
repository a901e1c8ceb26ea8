"""One job's numbered events, in order, each once; what is missing comes from the document."""

from contracts.jobs import Job, JobEvent
from services.notifier.frames import Writer
from services.notifier.ports import Jobs
from shared.http.problems import Refusal


class JobStream:
    """State of a connection that follows one job. `ended`: there is nothing more to send."""

    def __init__(self, jobs: Jobs, writer: Writer, job_id: str, tenant: str, *, after: int) -> None:
        self._jobs = jobs
        self._writer = writer
        self._job_id = job_id
        self._tenant = tenant
        self._seq = after
        self._seen = 0
        self.known = False
        """The job exists."""
        self.ended = False

    @property
    def behind(self) -> bool:
        """An event was seen that the document did not have yet."""
        return self._seen > self._seq

    async def catch_up(self) -> list[bytes]:
        """Return the frames of events in the document that were not sent yet.

        Raises:
            Refusal: 404 for another tenant's job. One that does not exist yet has nothing to tell.
        """
        job = await self._jobs.get(self._job_id)
        if job is None:
            return []
        if job.tenant != self._tenant:
            raise no_job(self._job_id)
        self.known = True
        if self._seq > job.seq:
            self._seq = 0
        frames = [await self._tell(event) for event in job.events if event.seq > self._seq]
        self.ended = self.ended or _is_over(job)
        return frames

    async def live(self, event: JobEvent) -> list[bytes]:
        """An event that was just said, and before it what is missing."""
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
            return [*frames, await self._writer.event(event, None)]
        if not snapshot and event.seq == self._seq + 1:
            return [*frames, await self._tell(event)]
        return frames

    async def _tell(self, event: JobEvent) -> bytes:
        self._seq = event.seq
        self.ended = event.terminal
        return await self._writer.event(event, str(event.seq))


def no_job(job_id: str) -> Refusal:
    """404, for a job that does not exist or belongs to another tenant."""
    return Refusal(404, f"there is no job {job_id}")


def _is_over(job: Job) -> bool:
    """Ended, and not a place that a cancel holds for a plan that is still to come."""
    return job.terminal and not job.placeholder
