"""All events of one user's jobs. The cursor says what was told, so that a reconnect loses nothing."""

import base64
from datetime import datetime, timedelta

from pydantic import ValidationError

from contracts.base import Id, Model, Moment
from contracts.jobs import Job, JobEvent
from services.notifier.frames import Writer, frame, snapshot_of
from services.notifier.ports import Jobs
from shared.clock import Clock

OLDEST = timedelta(hours=1)
SLACK = timedelta(seconds=30)
"""Events of different jobs may arrive this much out of order."""
REMEMBERED = 1000
IN_CURSOR = 20


class Cursor(Model):
    """Everything up to `at` was told; of jobs that moved shortly before it, up to these numbers."""

    at: Moment
    seqs: dict[Id, int]

    def text(self) -> str:
        """Opaque to the client."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str | None, now: datetime) -> "Cursor | None":
        """A cursor of ours that is young enough to go on from."""
        try:
            padded = (text or "").encode("ascii") + b"=" * (-len(text or "") % 4)
            cursor = cls.model_validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, ValidationError):
            return None
        return cursor if now - OLDEST <= cursor.at <= now + SLACK else None


class UserStream:
    """State of a connection that follows one user's jobs. It never ends by itself."""

    ended = False

    def __init__(
        self, jobs: Jobs, writer: Writer, tenant: str, user_id: str, *, cursor: str | None, now: Clock
    ) -> None:
        self._jobs = jobs
        self._writer = writer
        self._who = (tenant, user_id)
        self._now = now
        known = Cursor.read(cursor, now())
        self._fresh = known is None
        self._at = known.at if known else now()
        self._told: dict[str, tuple[int, datetime]] = (
            {job_id: (seq, known.at) for job_id, seq in known.seqs.items()} if known else {}
        )
        self._seen: dict[str, int] = {}

    @property
    def behind(self) -> bool:
        """An event was seen that its document did not have yet."""
        return any(seq > (self._seq(job_id) or 0) for job_id, seq in self._seen.items())

    async def catch_up(self) -> list[bytes]:
        """Snapshots for a newcomer; what the documents have beyond what was told for others."""
        jobs = await self._jobs.of_user(*self._who, self._since(), self._now())
        if not self._fresh:
            return await self._tell_missing(jobs)
        self._fresh = False
        for job in jobs:
            self._remember(job.job_id, job.seq, job.updated_at)
        snapshots = [snapshot_of(job).model_dump_json() for job in jobs if not job.terminal]
        last = len(snapshots) - 1
        # Only the last one is a place to go on from: before it, not all jobs are told.
        return [
            frame("snapshot", data, self._cursor() if n == last else None) for n, data in enumerate(snapshots)
        ]

    async def live(self, event: JobEvent) -> list[bytes]:
        """An event that was just said, and before it what is missing of its job."""
        snapshot = event.event == "progressed"
        told = self._seq(event.job_id)
        frames = []
        if event.seq > (told or 0) + (0 if snapshot else 1):
            job = await self._jobs.get(event.job_id)
            frames = await self._tell_missing([job] if job else [])
            told = self._seq(event.job_id)
            if event.seq > (told or 0):
                self._seen[event.job_id] = max(event.seq, self._seen.get(event.job_id, 0))
        if snapshot and event.seq == (told or 0):
            return [*frames, await self._writer.event(event, None)]
        if not snapshot and event.seq == (told or 0) + 1:
            return [*frames, await self._tell(event)]
        return frames

    async def _tell_missing(self, jobs: list[Job]) -> list[bytes]:
        since = self._since()
        missing = [event for job in jobs for event in job.events if self._is_missing(event, since)]
        frames = [
            await self._tell(event) for event in sorted(missing, key=lambda event: (event.at, event.seq))
        ]
        for job in jobs:
            self._remember(job.job_id, max(job.seq, self._seq(job.job_id) or 0), job.updated_at)
        return frames

    def _is_missing(self, event: JobEvent, since: datetime) -> bool:
        told = self._seq(event.job_id)
        return event.at >= since if told is None else event.seq > told

    async def _tell(self, event: JobEvent) -> bytes:
        self._remember(event.job_id, event.seq, event.at)
        self._at = max(self._at, event.at)
        return await self._writer.event(event, self._cursor())

    def _since(self) -> datetime:
        return self._at - SLACK

    def _seq(self, job_id: str) -> int | None:
        told = self._told.get(job_id)
        return told[0] if told else None

    def _remember(self, job_id: str, seq: int, at: datetime) -> None:
        self._told.pop(job_id, None)
        self._told[job_id] = (seq, at)
        if self._seen.get(job_id, seq) <= seq:
            self._seen.pop(job_id, None)
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    def _cursor(self) -> str:
        recent = [(job_id, seq) for job_id, (seq, at) in self._told.items() if at >= self._since()]
        return Cursor(at=self._at, seqs=dict(recent[-IN_CURSOR:])).text()
