"""jobs whose `wake_at` has come → job.due"""

from collections.abc import Iterator

from contracts.jobs import JobDue
from shared.clock import Clock, now
from shared.due_timers import DueTimers
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.mongo import Collection, Document

FIELDS = ("trace", "phase", "tenant", "character_id")
WAITING = ("waiting_for_character", "waiting_for_lora")
"""Phases of jobs that wait for something in the documents of their character."""


def job_timers(jobs: Collection, publisher: Publisher, now: Clock = now) -> DueTimers:
    """Return the timers of jobs."""
    return DueTimers(jobs, publisher, due_messages, fields=FIELDS, now=now)


def due_messages(job: Document) -> Iterator[Outgoing]:
    """Yield the message that makes the dispatcher look at a job, with the character that it waits for."""
    due = JobDue(job_id=job["_id"], due_at=job["wake_at"])
    if job.get("phase") in WAITING:
        due = due.model_copy(update={"tenant": job["tenant"], "character_id": job.get("character_id")})
    yield Outgoing(due, job.get("trace"))
