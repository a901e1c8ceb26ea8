"""Streams of jobs without a document: opened at once if accepted over HTTP, else 404 after a wait."""

from services.notifier.job_stream import JobStream, no_job
from services.notifier.ports import Submissions
from services.notifier.streams import next_frames
from services.notifier.subscriber_queue import Signal, SubscriberQueue

READS = 6
READ_SECONDS = 0.5
"""An unknown job has READS * READ_SECONDS = 3 s to appear: it may be on its way over Kafka."""


async def first_frames(
    stream: JobStream, queue: SubscriberQueue, submissions: Submissions, job_id: str, tenant: str
) -> list[bytes]:
    """Return the first frames of a job's stream, once the job exists.

    Raises:
        Refusal: 404 when it does not exist.
    """
    frames = await stream.catch_up()
    if stream.known or await submissions.tenant_of(job_id) == tenant:
        return frames
    for _ in range(READS):
        signal = await queue.next(READ_SECONDS)
        if signal is Signal.CLOSED:
            return []  # this process stops; the client reconnects
        frames = await stream.catch_up() if signal is Signal.IDLE else await next_frames(stream, signal)
        if stream.known:
            return frames
        if stream.ended:
            break  # an event showed that the job is another tenant's
    raise no_job(job_id)
