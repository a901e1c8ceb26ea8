"""All events of one user's jobs. The cursor names the events sent, and a reconnect loses none."""

from datetime import datetime, timedelta

from pydantic import ValidationError

from contracts.base import Id, Model, Moment
from contracts.jobs import Job, JobEvent
from services.notifier.ports import Jobs
from services.notifier.sse import SseEncoder, frame, snapshot_of
from shared.clock import Clock
from shared.http.cursors import decode_cursor, encode_cursor

OLDEST = timedelta(hours=1)
SLACK = timedelta(seconds=30)
"""Events of different jobs may arrive this much out of order."""
REMEMBERED = 1000
IN_CURSOR = 20


class Cursor(Model):
    """Position in a stream: all events up to `at`, and for recent jobs those up to a number."""

    at: Moment
    seqs: dict[Id, int]

    def text(self) -> str:
        """Encode the cursor; the text is opaque to clients."""
        return encode_cursor(self.model_dump_json())

    @classmethod
    def read(cls, text: str | None, now: datetime) -> "Cursor | None":
        """Decode a cursor; None when it is not valid or too old to resume from."""
        try:
            cursor = cls.model_validate_json(decode_cursor(text or ""))
        except (ValueError, ValidationError):
            return None
        return cursor if now - OLDEST <= cursor.at <= now + SLACK else None


class UserStream:
    """State of a stream that follows one user's jobs. It never ends by itself."""

    ended = False

    def __init__(
        self, jobs: Jobs, encoder: SseEncoder, tenant: str, user_id: str, *, cursor: str | None, now: Clock
    ) -> None:
        self._jobs = jobs
        self._encoder = encoder
        self._subscriber = (tenant, user_id)
        self._now = now
        known = Cursor.read(cursor, now())
        self._fresh = known is None
        self._at = known.at if known else now()
        self._sent: dict[str, tuple[int, datetime]] = (
            {job_id: (seq, known.at) for job_id, seq in known.seqs.items()} if known else {}
        )
        self._seen: dict[str, int] = {}

    @property
    def behind(self) -> bool:
        """True when an event arrived before its document had it."""
        return any(seq > (self._seq(job_id) or 0) for job_id, seq in self._seen.items())

    async def catch_up(self) -> list[bytes]:
        """Return snapshots for a new stream; for a resumed one, the frames of events not sent yet."""
        jobs = await self._jobs.of_user(*self._subscriber, self._since(), self._now())
        if not self._fresh:
            return await self._send_missing(jobs)
        self._fresh = False
        for job in jobs:
            self._remember(job.job_id, job.seq, job.updated_at)
        snapshots = [snapshot_of(job).model_dump_json() for job in jobs if not job.terminal]
        last = len(snapshots) - 1
        # Only the last snapshot has a cursor: a stream cannot resume before it has all jobs.
        return [
            frame("snapshot", data, self._cursor() if n == last else None) for n, data in enumerate(snapshots)
        ]

    async def live(self, event: JobEvent) -> list[bytes]:
        """Return the frames of a new event, after those of its job's missing events."""
        snapshot = event.event == "progressed"
        sent = self._seq(event.job_id)
        frames = []
        if event.seq > (sent or 0) + (0 if snapshot else 1):
            job = await self._jobs.get(event.job_id)
            frames = await self._send_missing([job] if job else [])
            sent = self._seq(event.job_id)
            if event.seq > (sent or 0):
                self._seen[event.job_id] = max(event.seq, self._seen.get(event.job_id, 0))
        if snapshot and event.seq == (sent or 0):
            return [*frames, await self._encoder.event(event, None)]
        if not snapshot and event.seq == (sent or 0) + 1:
            return [*frames, await self._send(event)]
        return frames

    async def _send_missing(self, jobs: list[Job]) -> list[bytes]:
        since = self._since()
        missing = [event for job in jobs for event in job.events if self._is_missing(event, since)]
        frames = [
            await self._send(event) for event in sorted(missing, key=lambda event: (event.at, event.seq))
        ]
        for job in jobs:
            self._remember(job.job_id, max(job.seq, self._seq(job.job_id) or 0), job.updated_at)
        return frames

    def _is_missing(self, event: JobEvent, since: datetime) -> bool:
        sent = self._seq(event.job_id)
        return event.at >= since if sent is None else event.seq > sent

    async def _send(self, event: JobEvent) -> bytes:
        self._remember(event.job_id, event.seq, event.at)
        self._at = max(self._at, event.at)
        return await self._encoder.event(event, self._cursor())

    def _since(self) -> datetime:
        return self._at - SLACK

    def _seq(self, job_id: str) -> int | None:
        sent = self._sent.get(job_id)
        return sent[0] if sent else None

    def _remember(self, job_id: str, seq: int, at: datetime) -> None:
        self._sent.pop(job_id, None)
        self._sent[job_id] = (seq, at)
        if self._seen.get(job_id, seq) <= seq:
            self._seen.pop(job_id, None)
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _cursor(self) -> str:
        recent = [(job_id, seq) for job_id, (seq, at) in self._sent.items() if at >= self._since()]
        return Cursor(at=self._at, seqs=dict(recent[-IN_CURSOR:])).text()
