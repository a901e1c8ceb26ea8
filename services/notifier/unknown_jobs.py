"""Streams of jobs without a document: open at once if accepted over HTTP, else 404 after a short wait."""

from services.notifier.job_stream import JobStream, no_job
from services.notifier.mailbox import Mailbox, Signal
from services.notifier.ports import Submissions
from services.notifier.streams import next_frames

LOOKS = 6
LOOK_SECONDS = 0.5
"""An unknown job has LOOKS * LOOK_SECONDS = 3 s to appear: it may be on its way over Kafka."""


async def first_frames(
    stream: JobStream, mailbox: Mailbox, submissions: Submissions, job_id: str, tenant: str
) -> list[bytes]:
    """Return what is known of a job, once there is such a job.

    Raises:
        Refusal: 404: there is none.
    """
    frames = await stream.catch_up()
    if stream.known or await submissions.tenant_of(job_id) == tenant:
        return frames
    for _ in range(LOOKS):
        signal = await mailbox.next(LOOK_SECONDS)
        if signal is Signal.CLOSED:
            return []  # this process stops; the client connects again
        frames = await stream.catch_up() if signal is Signal.IDLE else await next_frames(stream, signal)
        if stream.known:
            return frames
        if stream.ended:
            break  # an event showed that it is another tenant's
    raise no_job(job_id)
